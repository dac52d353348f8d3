#!/bin/sh
# An executor in a few lines of shell: it counts the lines, words and bytes of every file in input/.
#
#     taskrepo work --label counting -- "$PWD/data/examples/executors/count.sh"
#
# It needs nothing of the task's text: it reads files by name, quotes every name, and never evaluates anything.
set -eu

mkdir -p submission/artifacts
table=submission/artifacts/counts.tsv
printf 'lines\twords\tbytes\tfile\n' >"$table"
files=0
for file in input/*; do
    [ -f "$file" ] || continue
    files=$((files + 1))
    printf '%s\t%s\t%s\t%s\n' $(wc <"$file") "${file#input/}" >>"$table"
    printf '::progress 50 counted %s files\n' "$files"
done
if [ "$files" = 0 ]; then
    echo "there is no file in input/" >&2
    exit 1
fi
printf 'Counted %s files; see artifacts/counts.tsv.\n' "$files" >submission/summary.md
