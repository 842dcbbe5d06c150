# The command blocks of the documents: indented lines after a comment that says
# `run: NAME`, or `not run:` and why. Sourced by the tests that run them.
# shellcheck shell=bash

# block FILE NAME: its lines, without what they are indented by.
block() {
	awk -v mark="<!-- run: $2 -->" '
		index($0, mark) { on = 1; next }
		on && /^    / { seen = 1; sub(/^ +/, ""); print; next }
		on && seen { exit }' "$1"
}
