"""From an IANA zone to the name that Windows has for it; `timezones.zone_of_name` leads back.

From the Unicode CLDR's `common/supplemental/windowsZones.xml` (all territories, with the other names of each
zone), as tzlocal (MIT) gives it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from calendarsync.domain.timezone_windows import WINDOWS_ZONES
from calendarsync.domain.timezones import zone_info

# Windows name: the zones that it stands for, beside the one in WINDOWS_ZONES.
_ALSO = {
    "AUS Central Standard Time": "Australia/North",
    "AUS Eastern Standard Time": """
        Australia/ACT Australia/Canberra Australia/Melbourne Australia/NSW Australia/Victoria
    """,
    "Alaskan Standard Time": """
        America/Juneau America/Metlakatla America/Nome America/Sitka America/Yakutat US/Alaska
    """,
    "Aleutian Standard Time": "America/Atka US/Aleutian",
    "Arab Standard Time": "Asia/Aden Asia/Bahrain Asia/Kuwait Asia/Qatar",
    "Arabian Standard Time": "Asia/Muscat Etc/GMT-4",
    "Argentina Standard Time": """
        America/Argentina/Buenos_Aires America/Argentina/Catamarca America/Argentina/ComodRivadavia
        America/Argentina/Cordoba America/Argentina/Jujuy America/Argentina/La_Rioja
        America/Argentina/Mendoza America/Argentina/Rio_Gallegos America/Argentina/Salta
        America/Argentina/San_Juan America/Argentina/San_Luis America/Argentina/Tucuman
        America/Argentina/Ushuaia America/Catamarca America/Cordoba America/Jujuy America/Mendoza
        America/Rosario
    """,
    "Astrakhan Standard Time": "Europe/Ulyanovsk",
    "Atlantic Standard Time": """
        America/Glace_Bay America/Goose_Bay America/Moncton America/Thule Atlantic/Bermuda Canada/Atlantic
    """,
    "Bangladesh Standard Time": "Asia/Dacca Asia/Thimbu Asia/Thimphu",
    "Canada Central Standard Time": "America/Swift_Current Canada/Saskatchewan",
    "Cape Verde Standard Time": "Etc/GMT+1",
    "Cen. Australia Standard Time": "Australia/Broken_Hill Australia/South Australia/Yancowinna",
    "Central America Standard Time": """
        America/Belize America/Costa_Rica America/El_Salvador America/Managua America/Tegucigalpa Etc/GMT+6
        Pacific/Galapagos
    """,
    "Central Asia Standard Time": "Asia/Kashgar Asia/Urumqi Etc/GMT-6 Indian/Chagos",
    "Central Brazilian Standard Time": "America/Campo_Grande",
    "Central Europe Standard Time": """
        Europe/Belgrade Europe/Bratislava Europe/Ljubljana Europe/Podgorica Europe/Prague Europe/Tirane
    """,
    "Central European Standard Time": "Europe/Sarajevo Europe/Skopje Europe/Zagreb Poland",
    "Central Pacific Standard Time": """
        Etc/GMT-11 Pacific/Efate Pacific/Kosrae Pacific/Noumea Pacific/Pohnpei Pacific/Ponape
    """,
    "Central Standard Time": """
        America/Indiana/Knox America/Indiana/Tell_City America/Knox_IN America/Matamoros America/Menominee
        America/North_Dakota/Beulah America/North_Dakota/Center America/North_Dakota/New_Salem
        America/Ojinaga America/Rainy_River America/Rankin_Inlet America/Resolute America/Winnipeg CST6CDT
        Canada/Central US/Central US/Indiana-Starke
    """,
    "Central Standard Time (Mexico)": """
        America/Bahia_Banderas America/Chihuahua America/Merida America/Monterrey Mexico/General
    """,
    "Chatham Islands Standard Time": "NZ-CHAT",
    "China Standard Time": """
        Asia/Chongqing Asia/Chungking Asia/Harbin Asia/Hong_Kong Asia/Macao Asia/Macau Hongkong PRC
    """,
    "Cuba Standard Time": "Cuba",
    "E. Africa Standard Time": """
        Africa/Addis_Ababa Africa/Asmara Africa/Asmera Africa/Dar_es_Salaam Africa/Djibouti Africa/Kampala
        Africa/Mogadishu Antarctica/Syowa Etc/GMT-3 Indian/Antananarivo Indian/Comoro Indian/Mayotte
    """,
    "E. Australia Standard Time": "Australia/Lindeman Australia/Queensland",
    "E. Europe Standard Time": "Europe/Tiraspol",
    "E. South America Standard Time": "Brazil/East",
    "Easter Island Standard Time": "Chile/EasterIsland",
    "Eastern Standard Time": """
        America/Detroit America/Indiana/Petersburg America/Indiana/Vincennes America/Indiana/Winamac
        America/Iqaluit America/Kentucky/Louisville America/Kentucky/Monticello America/Louisville
        America/Montreal America/Nassau America/Nipigon America/Pangnirtung America/Thunder_Bay
        America/Toronto Canada/Eastern EST5EDT US/Eastern US/Michigan
    """,
    "Egypt Standard Time": "Egypt",
    "FLE Standard Time": """
        Europe/Helsinki Europe/Kyiv Europe/Mariehamn Europe/Riga Europe/Sofia Europe/Tallinn Europe/Uzhgorod
        Europe/Vilnius Europe/Zaporozhye
    """,
    "GMT Standard Time": """
        Atlantic/Canary Atlantic/Faeroe Atlantic/Faroe Atlantic/Madeira Eire Europe/Belfast Europe/Dublin
        Europe/Guernsey Europe/Isle_of_Man Europe/Jersey Europe/Lisbon GB GB-Eire Portugal WET
    """,
    "GTB Standard Time": "Asia/Famagusta Asia/Nicosia EET Europe/Athens Europe/Nicosia",
    "Greenland Standard Time": "America/Nuuk America/Scoresbysund",
    "Greenwich Standard Time": """
        Africa/Abidjan Africa/Accra Africa/Bamako Africa/Banjul Africa/Bissau Africa/Conakry Africa/Dakar
        Africa/Freetown Africa/Lome Africa/Monrovia Africa/Nouakchott Africa/Ouagadougou Africa/Timbuktu
        America/Danmarkshavn Atlantic/St_Helena Iceland
    """,
    "Hawaiian Standard Time": "Etc/GMT+10 HST Pacific/Johnston Pacific/Rarotonga Pacific/Tahiti US/Hawaii",
    "India Standard Time": "Asia/Kolkata",
    "Iran Standard Time": "Iran",
    "Israel Standard Time": "Asia/Tel_Aviv Israel",
    "Korea Standard Time": "ROK",
    "Libya Standard Time": "Libya",
    "Line Islands Standard Time": "Etc/GMT-14",
    "Lord Howe Standard Time": "Australia/LHI",
    "Magallanes Standard Time": "America/Coyhaique",
    "Mauritius Standard Time": "Indian/Mahe Indian/Reunion",
    "Morocco Standard Time": "Africa/El_Aaiun",
    "Mountain Standard Time": """
        America/Boise America/Cambridge_Bay America/Ciudad_Juarez America/Edmonton America/Inuvik
        America/Shiprock America/Yellowknife Canada/Mountain MST7MDT Navajo US/Mountain
    """,
    "Mountain Standard Time (Mexico)": "Mexico/BajaSur",
    "Myanmar Standard Time": "Asia/Yangon Indian/Cocos",
    "Nepal Standard Time": "Asia/Kathmandu",
    "New Zealand Standard Time": "Antarctica/McMurdo Antarctica/South_Pole NZ",
    "Newfoundland Standard Time": "Canada/Newfoundland",
    "North Asia Standard Time": "Asia/Novokuznetsk",
    "Pacific SA Standard Time": "Chile/Continental",
    "Pacific Standard Time": "America/Vancouver Canada/Pacific PST8PDT US/Pacific",
    "Pacific Standard Time (Mexico)": "America/Ensenada America/Santa_Isabel Mexico/BajaNorte",
    "Romance Standard Time": "Africa/Ceuta CET Europe/Brussels Europe/Copenhagen Europe/Madrid MET",
    "Russia Time Zone 11": "Asia/Anadyr",
    "Russian Standard Time": "Europe/Kirov Europe/Simferopol W-SU",
    "SA Eastern Standard Time": """
        America/Belem America/Fortaleza America/Maceio America/Paramaribo America/Recife America/Santarem
        Antarctica/Palmer Antarctica/Rothera Atlantic/Stanley Etc/GMT+3
    """,
    "SA Pacific Standard Time": """
        America/Atikokan America/Cayman America/Coral_Harbour America/Eirunepe America/Guayaquil
        America/Jamaica America/Lima America/Panama America/Porto_Acre America/Rio_Branco Brazil/Acre EST
        Etc/GMT+5 Jamaica
    """,
    "SA Western Standard Time": """
        America/Anguilla America/Antigua America/Aruba America/Barbados America/Blanc-Sablon
        America/Boa_Vista America/Curacao America/Dominica America/Grenada America/Guadeloupe America/Guyana
        America/Kralendijk America/Lower_Princes America/Manaus America/Marigot America/Martinique
        America/Montserrat America/Port_of_Spain America/Porto_Velho America/Puerto_Rico
        America/Santo_Domingo America/St_Barthelemy America/St_Kitts America/St_Lucia America/St_Thomas
        America/St_Vincent America/Tortola America/Virgin Brazil/West Etc/GMT+4
    """,
    "SE Asia Standard Time": """
        Antarctica/Davis Asia/Ho_Chi_Minh Asia/Jakarta Asia/Phnom_Penh Asia/Pontianak Asia/Saigon
        Asia/Vientiane Etc/GMT-7 Indian/Christmas
    """,
    "Singapore Standard Time": """
        Asia/Brunei Asia/Kuala_Lumpur Asia/Kuching Asia/Makassar Asia/Manila Asia/Ujung_Pandang Etc/GMT-8
        Singapore
    """,
    "South Africa Standard Time": """
        Africa/Blantyre Africa/Bujumbura Africa/Gaborone Africa/Harare Africa/Kigali Africa/Lubumbashi
        Africa/Lusaka Africa/Maputo Africa/Maseru Africa/Mbabane Etc/GMT-2
    """,
    "Taipei Standard Time": "ROC",
    "Tasmania Standard Time": "Antarctica/Macquarie Australia/Currie Australia/Tasmania",
    "Tokyo Standard Time": "Asia/Dili Asia/Jayapura Etc/GMT-9 Japan Pacific/Palau",
    "Turkey Standard Time": "Asia/Istanbul Turkey",
    "US Eastern Standard Time": """
        America/Fort_Wayne America/Indiana/Indianapolis America/Indiana/Marengo America/Indiana/Vevay
        US/East-Indiana
    """,
    "US Mountain Standard Time": """
        America/Creston America/Dawson_Creek America/Fort_Nelson America/Hermosillo Etc/GMT+7 MST US/Arizona
    """,
    "UTC": """
        Etc/GMT Etc/GMT+0 Etc/GMT-0 Etc/GMT0 Etc/Greenwich Etc/UCT Etc/Universal Etc/Zulu GMT GMT+0 GMT-0
        GMT0 Greenwich UCT UTC Universal Zulu
    """,
    "UTC+12": """
        Kwajalein Pacific/Funafuti Pacific/Kwajalein Pacific/Majuro Pacific/Nauru Pacific/Tarawa
        Pacific/Wake Pacific/Wallis
    """,
    "UTC+13": "Pacific/Enderbury Pacific/Fakaofo Pacific/Kanton",
    "UTC-02": "America/Noronha Atlantic/South_Georgia Brazil/DeNoronha",
    "UTC-08": "Pacific/Pitcairn",
    "UTC-09": "Pacific/Gambier",
    "UTC-11": "Pacific/Midway Pacific/Niue Pacific/Pago_Pago Pacific/Samoa US/Samoa",
    "Ulaanbaatar Standard Time": "Asia/Choibalsan Asia/Ulan_Bator",
    "Vladivostok Standard Time": "Asia/Ust-Nera",
    "W. Australia Standard Time": "Australia/West",
    "W. Central Africa Standard Time": """
        Africa/Algiers Africa/Bangui Africa/Brazzaville Africa/Douala Africa/Kinshasa Africa/Libreville
        Africa/Luanda Africa/Malabo Africa/Ndjamena Africa/Niamey Africa/Porto-Novo Africa/Tunis Etc/GMT-1
    """,
    "W. Europe Standard Time": """
        Arctic/Longyearbyen Atlantic/Jan_Mayen Europe/Amsterdam Europe/Andorra Europe/Busingen
        Europe/Gibraltar Europe/Luxembourg Europe/Malta Europe/Monaco Europe/Oslo Europe/Rome
        Europe/San_Marino Europe/Stockholm Europe/Vaduz Europe/Vatican Europe/Vienna Europe/Zurich
    """,
    "West Asia Standard Time": """
        Antarctica/Mawson Asia/Almaty Asia/Aqtau Asia/Aqtobe Asia/Ashgabat Asia/Ashkhabad Asia/Atyrau
        Asia/Dushanbe Asia/Oral Asia/Qostanay Asia/Samarkand Etc/GMT-5 Indian/Kerguelen Indian/Maldives
    """,
    "West Bank Standard Time": "Asia/Gaza",
    "West Pacific Standard Time": """
        Antarctica/DumontDUrville Etc/GMT-10 Pacific/Chuuk Pacific/Guam Pacific/Saipan Pacific/Truk
        Pacific/Yap
    """,
    "Yakutsk Standard Time": "Asia/Khandyga",
    "Yukon Standard Time": "America/Dawson Canada/Yukon",
}

_FIRST = datetime(2026, 1, 1, tzinfo=UTC)
_DAYS = 3 * 366
"""So many days from `_FIRST` on are compared: clocks that agree in them agree ever after, by all that is known."""
_HOUR = timedelta(hours=1)


@lru_cache(maxsize=1024)
def windows_name(key: str) -> str | None:
    """The Windows zone whose clock is that of an IANA zone, or `"UTC"`; None where Windows has none.

    Raises zoneinfo.ZoneInfoNotFoundError (a KeyError) for what is no zone.
    """
    if key == "UTC":
        return key
    name = _names().get(key)
    return name if name is not None and _same_clock(key, WINDOWS_ZONES[name]) else None


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    also = {key: name for name, keys in _ALSO.items() for key in keys.split()}
    return also | {key: name for name, key in WINDOWS_ZONES.items()}


def _same_clock(key: str, other: str) -> bool:
    """Whether two zones have always the same time, which Unicode does not promise."""
    if key == other:
        return True
    zones = zone_info(key), zone_info(other)
    offsets = [_offsets(zones, _FIRST + day * 24 * _HOUR) for day in range(_DAYS + 1)]
    if any(one != two for one, two in offsets):
        return False
    changing = (day for day in range(_DAYS) if offsets[day] != offsets[day + 1])
    hours = (_offsets(zones, _FIRST + (day * 24 + hour) * _HOUR) for day in changing for hour in range(24))
    return all(one == two for one, two in hours)


def _offsets(zones: tuple[ZoneInfo, ZoneInfo], moment: datetime) -> tuple[timedelta | None, timedelta | None]:
    return moment.astimezone(zones[0]).utcoffset(), moment.astimezone(zones[1]).utcoffset()
