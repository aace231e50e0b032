"""The summary of a job in the frame in which GitHub shows it: page.py SUMMARY.md STYLESHEETS light|dark >page.html"""

import sys

import cmarkgfm
from cmarkgfm.cmark import Options

JOB = "deploy"
# The stylesheet's --borderColor-default and --fgColor-muted, which the sheets of one theme have only filled in.
BORDER, MUTED = {"light": ("#d1d9e0", "#59636e"), "dark": ("#3d444d", "#9198a1")}[sys.argv[3]]


def read(name):
    with open(name, encoding="utf-8") as file:
        return file.read()


markdown = read(sys.argv[1])
style = read(f"{sys.argv[2]}/github-markdown-{sys.argv[3]}.css")
body = cmarkgfm.github_flavored_markdown_to_html(markdown, Options.CMARK_OPT_UNSAFE)
print(f"""<!doctype html>
<meta charset="utf-8">
<style>
{style}
body {{ margin: 0; }}
.markdown-body {{ min-height: 100vh; }}
section {{ border: 1px solid {BORDER}; border-radius: 6px; overflow: hidden; }}
section > header {{ padding: 16px 16px 0; font-size: 14px; font-weight: 600; }}
section > header span, section > footer {{ color: {MUTED}; font-weight: 400; }}
section > div {{ padding: 16px; }}
section > div > :first-child {{ margin-top: 0 !important; }}
section > footer {{ padding: 8px 16px; border-top: 1px solid {BORDER}; font-size: 12px; }}
</style>
<body class="markdown-body">
<section>
<header>{JOB} <span>summary</span></header>
<div>{body}</div>
<footer>Job summary generated at run-time</footer>
</section>
</body>""")
