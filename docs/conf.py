"""The documentation site: the pages of docs/ and the pages beside them that they link to.

`make docs` runs Sphinx with the checkout as its source, so that links to README.md or to a file of
examples/ are checked like all others. Knows no page by name: their order stands in index.md.
"""

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

project = "ModelRefresh"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "examples/README.md"]
myst_heading_anchors = 3
smartquotes = False
html_theme = "furo"
html_title = project
html_extra_path = ["site"]
html_copy_source = False
html_show_copyright = False


def setup(app: Sphinx) -> None:
    """Show drawings in Mermaid as their text, which the web view of a repository draws."""
    app.add_lexer("mermaid", TextLexer)
