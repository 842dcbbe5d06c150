# Hosts behind web1, where nothing routes: far1, and far2 in a row behind it.
# LAB_MORE_NS says which. Sourced after lab.sh; far_network after lab_up.
# shellcheck shell=bash disable=SC2154

# far_link NUMBER BEFORE: a host one step further.
far_link() {
	ip netns add "$lab_tag-far$1"
	in_ns "far$1" ip link set lo up
	ip link add "f$1" netns "$lab_tag-far$1" type veth \
		peer name "f$1" netns "$lab_tag-$2"
	lab_address "$2" "f$1" "10.9.$1.1/24"
	lab_address "far$1" "f$1" "10.9.$1.2/24"
}
far_network() {
	far_link 1 web1
	case $LAB_MORE_NS in *far2*) far_link 2 far1 ;; esac
}
