"""How the site is built: `sphinx-build -n -W --keep-going -b html docs OUT`, offline, every warning an error.

A page outside the menu, a link to a page or heading that is not there, and a picture that is missing are warnings.
"""

from reasoning_cli import __version__

project = "reasoning"
copyright = "the authors of reasoning"
release = version = __version__

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
exclude_patterns = ["_build"]
nitpicky = True

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist"]
myst_links_external_new_tab = False

html_theme = "furo"
html_title = f"reasoning {release}"
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
pygments_style = "default"
