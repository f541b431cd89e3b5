"""Print the command that the README gives for a purpose, so that CI runs what new users type.

The README marks it: `<!-- command: test -->` stands on the line before its code block.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
found = re.search(rf"<!-- command: {re.escape(sys.argv[1])} -->\n+```\w*\n(.*?)\n```", readme, re.DOTALL)
if found is None:
    sys.exit(f"README.md marks no command for `{sys.argv[1]}`")
sys.stdout.write(f"{found[1]}\n")
