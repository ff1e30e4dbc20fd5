"""How Sphinx builds these pages: ``make docs``. A warning is an error there."""

import sys
from pathlib import Path

import django
from django.conf import settings

import fairway

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
sys.path.insert(0, str(Path(__file__).parent.parent / "interop"))
sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

# The reference is read from the modules themselves, some of which want a Django project.
settings.configure(
    SECRET_KEY="only-for-the-documentation",  # noqa: S106 - it signs nothing
    INSTALLED_APPS=[
        "fairway",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
    ],
)
django.setup()

project = "Fairway"
author = "The Fairway developers"
copyright = author
version = release = fairway.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "fairway_reference",
    "fairway_interop",
    "fairway_benchmarks",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"Fairway {release}"
html_logo = html_favicon = "images/logo.svg"
html_static_path = ["_static"]
html_css_files = ["fairway.css"]
html_show_copyright = False
html_show_sphinx = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# A word in single backticks is code, as in Markdown; nothing is looked up for it.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": True}
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # attributes in a list; an entry each would come twice for properties
add_module_names = False

# References to our own names must resolve. Those of others would need their inventories, and so the
# network at build time.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!fairway).*"),
    # Type variables and other private names appear in signatures and have no entry of their own.
    (r"py:.*", r"fairway\..*\.(_\w+|[A-Z])"),
]
