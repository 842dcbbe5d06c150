#!/usr/bin/env python3
"""page.py PAGE PLAYER|-: reads an exported page as a browser would, and says
what is wrong with it. PLAYER is the folder of the player that must be in it."""
import base64
import hashlib
import html.parser
import json
import re
import sys

wrong = []
page = open(sys.argv[1], encoding="utf-8").read()


def check(good, text):
    if not good:
        wrong.append(text)


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.policy = None
        self.stack = []
        self.inline = {"script": [], "style": []}
        self.data = {}
        self.text = ""
        self.markers = 0

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        check(tag in ("html head meta title style script body h1 h2 p table tr "
                      "th td ol li time small pre div button noscript").split(),
              "element " + tag)
        for name in attrs:
            check(not name.startswith("on") and name not in (
                "src", "href", "srcset", "action", "style", "background",
                "poster", "data", "formaction"), f"attribute {tag} {name}")
        if tag == "meta" and attrs.get("http-equiv"):
            check(attrs["http-equiv"] == "Content-Security-Policy" and
                  self.policy is None and not self.inline["script"] and
                  not self.inline["style"], "the policy is not first")
            self.policy = attrs["content"]
        self.markers += "data-marker" in attrs
        if tag != "meta":
            self.stack.append((tag, attrs))

    def handle_endtag(self, tag):
        check(self.stack and self.stack[-1][0] == tag, "unbalanced " + tag)
        if self.stack:
            self.stack.pop()

    def handle_data(self, data):
        tag, attrs = self.stack[-1] if self.stack else ("", {})
        if tag == "script" and "type" in attrs:
            self.data[attrs["id"]] = data
        elif tag in self.inline:
            self.inline[tag].append(data)
        else:
            self.text += data


def digest(text):
    raw = hashlib.sha256(text.encode()).digest()
    return "'sha256-" + base64.b64encode(raw).decode() + "'"


parser = Page()
parser.feed(page)
parser.close()
check(not parser.stack, "elements are open at the end")
rules = dict((rule.split()[0], rule.split()[1:])
             for rule in (parser.policy or "").split(";") if rule.split())
check(rules.get("default-src") == ["'none'"], "default-src")
check(rules.get("base-uri") == ["'none'"], "base-uri")
check(rules.get("form-action") == ["'none'"], "form-action")
check(sorted(rules.get("style-src", [])) ==
      sorted(digest(text) for text in parser.inline["style"]), "style hashes")
check(not any("unsafe-inline" in rule or "unsafe-eval'" == rule[1:] or
              "http" in rule or "data:" in rule
              for rule in sum(rules.values(), [])), "what the policy permits")
for text in parser.inline["style"]:
    check(not re.search(r"@import|url\(", text), "a style loads something")
if sys.argv[2] == "-":
    check("<script" not in page and "script-src" not in rules, "a script")
else:
    check(sorted(rules.get("script-src", [])) == sorted(
        [digest(text) for text in parser.inline["script"]] +
        ["'wasm-unsafe-eval'"]), "script hashes")
    player = open(sys.argv[2] + "/asciinema-player.min.js",
                  encoding="utf-8").read()
    check(player in parser.inline["script"], "the player is not whole")
    cast = [json.loads(line) for line in parser.data["cast"].splitlines()]
    check(cast[0]["version"] == 2 and len(cast) > 1, "no recording in it")
    markers = json.loads(parser.data["markers"])
    check(len(markers) == parser.markers > 0, "markers")
    check(all(a[0] <= b[0] for a, b in zip(markers, markers[1:])),
          "markers are not in order")
check("Verified: " in parser.text and
      parser.text.index("Verified: ") < parser.text.index("Commands"),
      "the verdict is not on top")
check(not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]",
                    parser.text), "control characters")
print("\n".join(wrong))
sys.exit(bool(wrong))
