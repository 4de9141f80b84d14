"""Where values come from: one module per kind, all over connections that the operator describes.

Documents come first, whatever is imported first: what they may hold depends on the installed plugins, and a plugin
imports from here, which must not be half loaded then.
"""

import cabc.document.interfaces  # noqa: F401 (see above)
