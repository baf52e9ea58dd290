"""The colours that Google Calendar has for events, and which of them comes nearest to a CSS colour."""

from __future__ import annotations

from functools import lru_cache

# Ids and backgrounds as `colors.get` answers them; they are the same for everybody.
_EVENT_COLORS = {
    "1": 0xA4BDFC,  # lavender
    "2": 0x7AE7BF,  # sage
    "3": 0xDBADFF,  # grape
    "4": 0xFF887C,  # flamingo
    "5": 0xFBD75B,  # banana
    "6": 0xFFB878,  # tangerine
    "7": 0x46D6DB,  # peacock
    "8": 0xE1E1E1,  # graphite
    "9": 0x5484ED,  # blueberry
    "10": 0x51B749,  # basil
    "11": 0xDC2127,  # tomato
}

# CSS Color Module Level 3, section 4.3; "gray" is spelled "grey" as well.
_CSS = """
aliceblue f0f8ff antiquewhite faebd7 aqua 00ffff aquamarine 7fffd4 azure f0ffff beige f5f5dc bisque ffe4c4
black 000000 blanchedalmond ffebcd blue 0000ff blueviolet 8a2be2 brown a52a2a burlywood deb887
cadetblue 5f9ea0 chartreuse 7fff00 chocolate d2691e coral ff7f50 cornflowerblue 6495ed cornsilk fff8dc
crimson dc143c cyan 00ffff darkblue 00008b darkcyan 008b8b darkgoldenrod b8860b darkgray a9a9a9
darkgreen 006400 darkkhaki bdb76b darkmagenta 8b008b darkolivegreen 556b2f darkorange ff8c00
darkorchid 9932cc darkred 8b0000 darksalmon e9967a darkseagreen 8fbc8f darkslateblue 483d8b
darkslategray 2f4f4f darkturquoise 00ced1 darkviolet 9400d3 deeppink ff1493 deepskyblue 00bfff
dimgray 696969 dodgerblue 1e90ff firebrick b22222 floralwhite fffaf0 forestgreen 228b22 fuchsia ff00ff
gainsboro dcdcdc ghostwhite f8f8ff gold ffd700 goldenrod daa520 gray 808080 green 008000
greenyellow adff2f honeydew f0fff0 hotpink ff69b4 indianred cd5c5c indigo 4b0082 ivory fffff0
khaki f0e68c lavender e6e6fa lavenderblush fff0f5 lawngreen 7cfc00 lemonchiffon fffacd lightblue add8e6
lightcoral f08080 lightcyan e0ffff lightgoldenrodyellow fafad2 lightgray d3d3d3 lightgreen 90ee90
lightpink ffb6c1 lightsalmon ffa07a lightseagreen 20b2aa lightskyblue 87cefa lightslategray 778899
lightsteelblue b0c4de lightyellow ffffe0 lime 00ff00 limegreen 32cd32 linen faf0e6 magenta ff00ff
maroon 800000 mediumaquamarine 66cdaa mediumblue 0000cd mediumorchid ba55d3 mediumpurple 9370db
mediumseagreen 3cb371 mediumslateblue 7b68ee mediumspringgreen 00fa9a mediumturquoise 48d1cc
mediumvioletred c71585 midnightblue 191970 mintcream f5fffa mistyrose ffe4e1 moccasin ffe4b5
navajowhite ffdead navy 000080 oldlace fdf5e6 olive 808000 olivedrab 6b8e23 orange ffa500
orangered ff4500 orchid da70d6 palegoldenrod eee8aa palegreen 98fb98 paleturquoise afeeee
palevioletred db7093 papayawhip ffefd5 peachpuff ffdab9 peru cd853f pink ffc0cb plum dda0dd
powderblue b0e0e6 purple 800080 red ff0000 rosybrown bc8f8f royalblue 4169e1 saddlebrown 8b4513
salmon fa8072 sandybrown f4a460 seagreen 2e8b57 seashell fff5ee sienna a0522d silver c0c0c0
skyblue 87ceeb slateblue 6a5acd slategray 708090 snow fffafa springgreen 00ff7f steelblue 4682b4
tan d2b48c teal 008080 thistle d8bfd8 tomato ff6347 turquoise 40e0d0 violet ee82ee wheat f5deb3
white ffffff whitesmoke f5f5f5 yellow ffff00 yellowgreen 9acd32
"""
_WORDS = _CSS.split()
_CSS_COLORS = {name: int(value, 16) for name, value in zip(_WORDS[::2], _WORDS[1::2], strict=True)}


@lru_cache(maxsize=256)
def color_id(css: str) -> str | None:
    """The `colorId` that looks most like a CSS colour name; None for a name that is none."""
    wanted = _CSS_COLORS.get(css.replace("grey", "gray"))
    if wanted is None:
        return None
    return min(_EVENT_COLORS, key=lambda name: _distance(_EVENT_COLORS[name], wanted))


def _distance(one: int, other: int) -> float:
    """Differences of hue count more than those of lightness: a dark grey is a grey, and no dark green."""
    light, red_green, yellow_blue = (
        mine - theirs for mine, theirs in zip(_seen(one), _seen(other), strict=True)
    )
    return light**2 / 4 + red_green**2 + yellow_blue**2


def _seen(rgb: int) -> tuple[float, float, float]:
    """Lightness, red against green, yellow against blue."""
    red, green, blue = rgb >> 16, rgb >> 8 & 255, rgb & 255
    return (red + green + blue) / 3, red - green, (red + green) / 2 - blue
