"""The runner of guides: what it runs, and that a command that fails fails the test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.guides.runner import blocks_of, run


def test_a_page_is_run_in_one_shell(tmp_path: Path) -> None:
    page = """
# A page

```bash
export NAME=world
```

```python
# greet.py
import os

print("hello,", os.environ["NAME"])
```

1. In a list:

   ```bash
   python greet.py
   ```

```sh
exit 1
```

```python
import os

print(os.environ["NAME"][::-1])
```
"""
    assert [block.line for block in blocks_of(page)] == [4, 8, 17, 21, 25]
    outputs = run(page, tmp_path, os.environ)
    assert [output.strip() for output in outputs] == ["", "hello, world", "dlrow"]


@pytest.mark.parametrize(
    "block",
    [
        "```bash\nfalse\n```",
        "```bash\necho $NOT_SET_ANYWHERE\n```",
        "```bash\nfalse | true\n```",
        "```python\nraise SystemExit(3)\n```",
        "```python\nassert False\n```",
        "```bash\nno-such-command\n```",
    ],
)
def test_a_command_that_fails_is_named_by_its_line(tmp_path: Path, block: str) -> None:
    page = f"# Page\n\n```bash\necho fine\n```\n\n{block}\n\n```bash\necho not reached\n```\n"
    with pytest.raises(AssertionError, match=r"^line 7, exit status [1-9]"):
        run(page, tmp_path, os.environ)


def test_what_is_left_in_the_background_ends(tmp_path: Path) -> None:
    run("```bash\nsleep 100 & echo $! > pid\n```\n", tmp_path, os.environ)
    pid = (tmp_path / "pid").read_text().strip()
    state = Path(f"/proc/{pid}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"
