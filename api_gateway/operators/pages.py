"""The pages of the door, whole in themselves: no script, nothing from another host, light or dark as the reader's system is.

When which page is shown does not belong here (router.py).
"""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from fastapi.responses import HTMLResponse

SIGN_IN_PATH = "/operators/sign-in"
SIGN_OUT_PATH = "/dagster/sign-out"  # below the UI's path, where the browser sends the cookie
STYLE_PATH = "/operators/style.css"
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",  # with `no-referrer` browsers would send `Origin: null` with the form
}

STYLE = """:root {
  color-scheme: light dark;
  --ground: #f4f5f7; --card: #fff; --text: #1c2230; --quiet: #5b6474; --line: #d9dde5; --edge: #868fa1;
  --accent: #2f55d4; --on-accent: #fff; --wrong: #a3161f; --wrong-ground: #fdecec;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #12151c; --card: #1b202b; --text: #e8ebf2; --quiet: #a0a9ba; --line: #323a49; --edge: #78839a;
    --accent: #8ea8ff; --on-accent: #10131a; --wrong: #ffb3b3; --wrong-ground: #3a1c20;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem;
  background: var(--ground); color: var(--text); font: 1rem/1.5 system-ui, sans-serif;
}
main {
  width: 100%; max-width: 24rem; padding: 2.25rem 2rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 12px; box-shadow: 0 8px 30px rgb(0 0 0 / 8%);
}
.brand { margin: 0 0 .25rem; color: var(--quiet); font-size: .9rem; letter-spacing: .02em; }
h1 { margin: 0 0 1.5rem; font-size: 1.4rem; line-height: 1.25; font-weight: 650; text-wrap: balance; }
p { overflow-wrap: anywhere; }
label { display: block; margin: 0 0 .3rem; font-size: .9rem; font-weight: 550; }
input {
  width: 100%; margin: 0 0 1.1rem; padding: .6rem .7rem; font: inherit; color: inherit;
  background: transparent; border: 1px solid var(--edge); border-radius: 8px;
}
button {
  width: 100%; margin: .4rem 0 0; padding: .65rem 1rem; font: inherit; font-weight: 600; cursor: pointer;
  color: var(--on-accent); background: var(--accent); border: 0; border-radius: 8px;
}
input:focus-visible, button:focus-visible, a:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.wrong {
  margin: 0 0 1.25rem; padding: .7rem .8rem; border-radius: 8px; font-size: .95rem;
  color: var(--wrong); background: var(--wrong-ground);
}
.further { margin: 1.25rem 0 0; color: var(--quiet); font-size: .9rem; }
a { color: var(--accent); }
"""


def sign_in_page(
    way_back: str,
    *,
    email: str = "",
    wrong: str = "",
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> HTMLResponse:
    """Return the page that asks for e-mail and password.

    Args:
        way_back: Where to go afterwards, below the UI's path.
        email: What was typed before.
        wrong: Why it did not work, in words; empty: nothing was tried.
        status: The HTTP status.
        headers: Further headers of the answer.
    """
    alert = f'<p class="wrong" id="wrong" role="alert">{escape(wrong)}</p>\n' if wrong else ""
    described = ' aria-describedby="wrong"' if wrong else ""
    first, second = ("", " autofocus") if email else (" autofocus", "")
    body = f"""<h1>Sign in to the Dagster UI</h1>
{alert}<form method="post" action="{SIGN_IN_PATH}">
<input type="hidden" name="next" value="{escape(way_back)}">
<label for="email">E-mail</label>
<input id="email" name="email" type="email" value="{escape(email)}" autocomplete="username" required{first}{described}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required{second}{described}>
<button type="submit">Sign in</button>
</form>
<p class="further">For admins of this installation. Signed in already? <a href="{escape(way_back)}">Go on</a>.</p>"""
    return _page("Sign in", body, status, headers)


def sign_out_page(email: str) -> HTMLResponse:
    """Return the page that asks whether to sign out."""
    body = f"""<h1>Sign out of the Dagster UI</h1>
<p>You are signed in as {escape(email)}.</p>
<form method="post" action="{SIGN_OUT_PATH}">
<button type="submit">Sign out</button>
</form>
<p class="further"><a href="/dagster">Back to the Dagster UI</a></p>"""
    return _page("Sign out", body)


def sign_in_address(way_back: str) -> str:
    """Return the address of the sign-in page that leads back there."""
    return f"{SIGN_IN_PATH}?next={quote(way_back, safe='/')}"


def _page(title: str, body: str, status: int = 200, headers: dict[str, str] | None = None) -> HTMLResponse:
    text = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - reportgen</title>
<link rel="stylesheet" href="{STYLE_PATH}">
<link rel="icon" href="data:,">
</head>
<body>
<main>
<p class="brand">reportgen</p>
{body}
</main>
</body>
</html>
"""
    return HTMLResponse(text, status, headers=_HEADERS | (headers or {}))
