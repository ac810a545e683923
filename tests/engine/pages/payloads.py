"""Texts that would do something if anything read them as more than texts.

What belongs here: the texts. What does not: what must not happen (test_inert.py).
"""

from __future__ import annotations

from collections.abc import Iterator

CANARY = "http://127.0.0.1:{port}/{number}"

_HTML = """
<script>fetch('URL')</script>
<img src="URL" onerror="document.title='owned'">
<svg onload="fetch('URL')"><circle r="9"/></svg>
<svg><script>fetch('URL')</script></svg>
<iframe src="URL"></iframe>
<object data="URL"></object>
<embed src="URL">
<link rel="stylesheet" href="URL">
<style>body{background:url(URL)}</style>
<base href="URL">
<meta http-equiv="refresh" content="0;url=URL">
<form action="URL"><input name="a" autofocus onfocus="submit()"></form>
<a href="javascript:fetch('URL')">press</a>
<a href="URL" ping="URL">press</a>
<video src="URL" autoplay></video>
<audio src="URL" autoplay></audio>
<input type="image" src="URL">
<body onload="fetch('URL')">
<details open ontoggle="fetch('URL')">
<marquee onstart="fetch('URL')">
<math><mtext></table><img src="URL"></mtext></math>
<template><img src="URL"></template>
<noscript><img src="URL"></noscript>
</td></tr></tbody></table><script>fetch('URL')</script>
</title><script>fetch('URL')</script>
</style><script>fetch('URL')</script>
--><script>fetch('URL')</script><!--
<!--<img src="--><img src="URL">
]]><script>fetch('URL')</script>
<![CDATA[<script>fetch('URL')</script>]]>
<?xml-stylesheet href="URL"?>
<!DOCTYPE x [<!ENTITY e SYSTEM "URL">]>&e;
<image xlink:href="URL"/>
<use href="URL#a"/>
<foreignObject><iframe src="URL"/></foreignObject>
<animate attributeName="href" values="javascript:fetch('URL')"/>
" onmouseover="fetch('URL')" x="
' onmouseover='fetch(URL)' x='
" autofocus onfocus=fetch(`URL`) x="
`-fetch('URL')-`
&lt;script&gt;fetch('URL')&lt;/script&gt;
&#60;script&#62;fetch('URL')&#60;/script&#62;
&quot;&gt;&lt;img src=URL&gt;
\\x3cscript\\x3efetch('URL')\\x3c/script\\x3e
%3Cscript%3Efetch('URL')%3C/script%3E
<scr<script>ipt>fetch('URL')</scr</script>ipt>
<SCRIPT SRC=//127.0.0.1></SCRIPT>
<img src=x:alert(alt) onerror=eval(src) alt=0>
javascript:fetch('URL')
data:text/html,<script>fetch('URL')</script>
url(URL)
@import url(URL);
expression(fetch('URL'))
{{ 7*7 }}
{{ ''.__class__.__mro__[1].__subclasses__() }}
{% include 'report.html.jinja' %}
{{ config }}{{ self }}{{ request }}
{% for x in [].__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}
{# comment #}
${7*7}
<%= 7*7 %>
#{7*7}
"""
_TYPST = """
#read("/etc/passwd")
#read("../../../../etc/passwd")
#image("/etc/passwd")
#image("URL")
#include "/etc/passwd"
#import "@preview/cetz:0.3.0": *
#import "/etc/passwd"
#json("/etc/passwd")
#csv("/etc/passwd")
#yaml("/etc/passwd")
#toml("/etc/passwd")
#xml("/etc/passwd")
#cbor("/etc/passwd")
#plugin("/tmp/x.wasm")
#bibliography("/etc/passwd")
#raw(read("/etc/shadow"))
#link("URL")[press]
#link("javascript:fetch('URL')")
#eval("1 + 1")
#eval("#read(\\"/etc/passwd\\")", mode: "markup")
#sys.inputs
#let report = none
#set page(width: 1pt)
#set text(size: 900pt)
#show: it => none
#hide[gone]
#while true {}
#panic("stop")
#assert(false)
#pagebreak()
#colbreak()
#metadata("x") <label>
#context query(heading)
#state("x").update(1)
#counter(page).update(99)
#import sys: version
$ integral_0^1 x dif x $
$#read("/etc/passwd")$
*bold* _slanted_ `code`
= Heading
- list
+ numbered
/ Term: told
URL
<label> @label
// comment
/* comment */
\\ new line
\\u{202e}reversed
~ -- --- ...
]#read("/etc/passwd")[
"]; #read("/etc/passwd"); #["
}#read("/etc/passwd"){
```typ #read("/etc/passwd") ```
"""
_LATEX_AND_SHELL = """
\\input{/etc/passwd}
\\write18{id}
$\\mathdefault{x}$
$\\frac{1}{0}$ and $100
$x$ $y$ $
$(id)
`id`
; rm -rf /
| id
&& id
../../../../etc/passwd
file:///etc/passwd
\\\\127.0.0.1\\share\\x
%s%s%s%n
%(x)s {0} {x!r}
'; DROP TABLE rows; --
" OR 1=1 --
"pages:rows"
"pages:chart"
${jndi:ldap://127.0.0.1/x}
{{=<% %>=}}
[[${7*7}]]
*{7*7}
@(7*7)
__import__('os').system('id')
<!--#exec cmd="id"-->
<?php echo 1 ?>
[press](URL)
![picture](URL)
SELECT * FROM read_csv('/etc/passwd')
"""
_FORMULAS = """
=1+1
=HYPERLINK("URL","press")
=WEBSERVICE("URL")
=IMPORTXML("URL","//a")
=IMAGE("URL")
=cmd|'/c calc'!A0
=DDE("cmd","/c calc","x")
+1+1
-1+1
@SUM(1,1)
;=1+1
"=1+1"
"""
_CHARACTERS = [
    "\x1b[31mred\x1b[0m", "\x1b]8;;URL\x07press\x1b]8;;\x07", "\x1b]0;owned\x07", "\x1b[2J", "\x9b31m",
    "\x00", "a\x00b", "\x01\x02\x03", "\x07", "\x08\x08\x08", "\x0b\x0c", "\x7f", "\x85", "\x90\x9f",
    "\u202egnp.exe", "\u202dabc", "\u2066abc\u2069", "\u2067\u202e\u2068", "\u202a\u202b\u202c", "\u200f\u200e",
    "\u2028line\u2029paragraph", "\ufeffbegin", "\u200b\u200c\u200d", "\u00ad\u00ad", "\ufffe\uffff", "\ufdd0",
    "\U000e0001\U000e0041", "\ufff9a\ufffab\ufffb", "e" + "\u0301" * 50, "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\t=1+1", "\r=1+1", "\n=1+1", "  =1+1", "line\nline\r\nline", "x" * 5_000, "=" * 2_000, "<" * 1_000,
    "&" * 1_000, "\u4e2d" * 500, "\u0645\u0631\u062d\u0628\u0627", "\U00012000" * 10, "a\u0308" * 300, "W" * 900,
]  # fmt: skip


def payloads(port: int) -> list[str]:
    """Return all of them; what they ask for is at a port of this machine."""
    return [
        text.replace("URL", CANARY.format(port=port, number=number)) for number, text in enumerate(_all())
    ]


def _all() -> Iterator[str]:
    for block in (_HTML, _TYPST, _LATEX_AND_SHELL, _FORMULAS):
        yield from block.strip("\n").split("\n")
    yield from _CHARACTERS
