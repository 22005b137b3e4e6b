# SPDX-License-Identifier: Apache-2.0
# Made by tools/gen-completions from the man pages; change those.

_thump()
{
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
	local options= positional= words=

	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		COMPREPLY=($(compgen -W "run checkpoint restore template spawn ps hooks inspect verify train pack unpack gc keygen sign doctor -h --help --version" -- "$current"))
		return
	fi
	case ${COMP_WORDS[1]} in
	run)
		case $previous in
		--image) compopt -o default; return ;;
		--then) COMPREPLY=($(compgen -W "exit restore continue" -- "$current")); return ;;
		--on-restore-failure) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--checkpoint-when) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--rehearse) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--drain) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--policy) compopt -o default; return ;;
		--mode) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--compress|--encrypt-to|--sign) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--require-signed-by) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--decrypt-with) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--passphrase-file) compopt -o default; return ;;
		--store) compopt -o default; return ;;
		--cpu) COMPREPLY=($(compgen -W "x86-64-v1 x86-64-v2 x86-64-v3 x86-64-v4" -- "$current")); return ;;
		--train) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		esac
		options="--image --then --on-restore-failure --checkpoint-when --rehearse --drain --hooks-first --policy --mode --compress --encrypt-to --sign --require-signed-by --decrypt-with --passphrase-file --store --cpu --train --no-preload --json -v --verbose -h --help --version"
		positional=command
		;;
	checkpoint)
		case $previous in
		-o|--output) compopt -o default; return ;;
		--drain) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--policy) compopt -o default; return ;;
		--close-fd|--ignore-fd) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--scrub) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--compress) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--encrypt-to) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--passphrase-file) compopt -o default; return ;;
		--passphrase-fd) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--sign) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--mode) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		esac
		options="-o --output --leave-running --live --drain --policy --close-fd --ignore-fd --leave-out-dontdump --scrub --hooks-first --no-hooks --dry-run --compress --encrypt-to --passphrase-file --passphrase-fd --sign --mode --json -v --verbose -h --help --version"
		positional=pid
		;;
	restore)
		case $previous in
		--pid-file) compopt -o default; return ;;
		--cgroup) compopt -o default; return ;;
		--port) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--policy) compopt -o default; return ;;
		--close-fd) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--memory) COMPREPLY=($(compgen -W "auto eager lazy-unsafe" -- "$current")); return ;;
		--on-restore-failure) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--env) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--clock) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--require-signed-by) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--decrypt-with) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--passphrase-file) compopt -o default; return ;;
		--passphrase-fd) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--store) compopt -o default; return ;;
		--spin-limit) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--cpu) COMPREPLY=($(compgen -W "x86-64-v1 x86-64-v2 x86-64-v3 x86-64-v4" -- "$current")); return ;;
		--train) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		esac
		options="--dry-run --detach --pid-file --keep-stdio --cgroup --port --policy --close-fd --memory --verify --on-restore-failure --env --clock --allow-clock-jump --require-signed-by --decrypt-with --passphrase-file --passphrase-fd --store --trust-any-owner --spin-limit --cpu --train --json -v --verbose -h --help --version"
		positional=file
		;;
	template)
		case $previous in
		--name) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--count) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--spares) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--memory) COMPREPLY=($(compgen -W "auto eager lazy-unsafe" -- "$current")); return ;;
		esac
		options="--name --count --foreground --spares --memory --verify --trust-any-owner --json -v --verbose -h --help --version"
		positional=file
		((COMP_CWORD == 2)) && positional=words words="start stop list"
		;;
	spawn)
		case $previous in
		--pid-file) compopt -o default; return ;;
		--cgroup) compopt -o default; return ;;
		--port) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--policy) compopt -o default; return ;;
		--close-fd) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--on-restore-failure) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--env) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--clock) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--cpu) COMPREPLY=($(compgen -W "x86-64-v1 x86-64-v2 x86-64-v3 x86-64-v4" -- "$current")); return ;;
		esac
		options="--detach --pid-file --keep-stdio --cgroup --port --policy --close-fd --on-restore-failure --env --clock --allow-clock-jump --trust-any-owner --cpu --json -v --verbose -h --help --version"
		positional=file
		;;
	ps)
		case $previous in
		esac
		options="--json -h --help --version"
		;;
	hooks)
		case $previous in
		--limit) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		esac
		options="--limit --abort --json -v --verbose -h --help --version"
		positional=pid
		((COMP_CWORD == 2)) && positional=words words="before after"
		;;
	inspect)
		case $previous in
		--store) compopt -o default; return ;;
		--decrypt-with) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--passphrase-file) compopt -o default; return ;;
		--passphrase-fd) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		esac
		options="--store --fds --maps --threads --decrypt-with --passphrase-file --passphrase-fd --json -v --verbose -h --help --version"
		positional=file
		;;
	verify)
		case $previous in
		--key) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--decrypt-with) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--passphrase-file) compopt -o default; return ;;
		--passphrase-fd) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--store) compopt -o default; return ;;
		esac
		options="--key --decrypt-with --passphrase-file --passphrase-fd --store --record --json -v --verbose -h --help --version"
		positional=file
		;;
	train)
		case $previous in
		--until) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--until-port) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--until-exec) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--for) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--runs) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		-o|--output) compopt -o default; return ;;
		--mode) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		esac
		options="--until --until-port --until-exec --for --runs -o --output --mode --json -v --verbose -h --help --version"
		positional=file
		;;
	pack)
		case $previous in
		-o|--output) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--compress) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--encrypt-to) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--passphrase-file) compopt -o default; return ;;
		--passphrase-fd) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--sign) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--store) compopt -o default; return ;;
		--decrypt-with) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--decrypt-passphrase-file) compopt -o default; return ;;
		--decrypt-passphrase-fd) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--mode) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		esac
		options="-o --output --compress --encrypt-to --passphrase-file --passphrase-fd --sign --store --decrypt-with --decrypt-passphrase-file --decrypt-passphrase-fd --mode --json -v --verbose -h --help --version"
		positional=file
		;;
	unpack)
		case $previous in
		-o|--output) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--decrypt-with) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--passphrase-file) compopt -o default; return ;;
		--passphrase-fd) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--store) compopt -o default; return ;;
		--mode) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		esac
		options="-o --output --decrypt-with --passphrase-file --passphrase-fd --store --mode --json -v --verbose -h --help --version"
		positional=file
		;;
	gc)
		case $previous in
		--store) compopt -o default; return ;;
		--keep) compopt -o default; return ;;
		esac
		options="--store --keep --dry-run --json -h --help --version"
		;;
	keygen)
		case $previous in
		-o|--output) compopt -o default; return ;;
		esac
		options="-o --output --sign --json -v --verbose -h --help --version"
		;;
	sign)
		case $previous in
		--key) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		-o|--output) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		--mode) COMPREPLY=($(compgen -W "" -- "$current")); return ;;
		esac
		options="--key -o --output --mode --json -v --verbose -h --help --version"
		positional=file
		;;
	doctor)
		case $previous in
		esac
		options="--json -v --verbose -h --help --version"
		;;
	*) return ;;
	esac
	case $current in
	-*) COMPREPLY=($(compgen -W "$options" -- "$current")); return ;;
	esac
	case $positional in
	words) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
	pid) COMPREPLY=($(compgen -W "$(cd /proc && printf '%s ' [0-9]*)" -- "$current")) ;;
	command) COMPREPLY=($(compgen -c -- "$current")); compopt -o default ;;
	file) compopt -o default ;;
	esac
}
complete -F _thump thump
