#!/bin/sh
# A session with curl against the broker at the address given: `127.0.0.1:PORT`. The broker keeps `match/#`, and
# somebody answers on `shout` with what was asked, in capitals.
#
# Each check that passed is a line "ok NAME"; whatever fails ends the script with an error.
set -eu
url="http://$1"

ask() { curl --silent --show-error --max-time 20 "$@"; }

# Name, what was told, what should have been.
check() {
    if [ "$2" != "$3" ]; then
        echo "$1: \"$2\" instead of \"$3\"" >&2
        exit 1
    fi
    echo "ok $1"
}

check healthz "$(ask "$url/healthz")" ok
check readyz "$(ask "$url/readyz")" '{"ready":true,"draining":false,"journals_failed":[]}'
check stats "$(ask "$url/v1/stats" | grep -c '"name":"events"')" 1
check file_that_is_known \
    "$(ask --output /dev/null --write-out '%{http_code}' --header 'If-None-Match: *' "$url/fanwire.js")" 304
check publish "$(ask --data-binary one "$url/v1/topics/match/1")" '{"ack":"routed","sequence":1}'
check publish_in_chunks \
    "$(printf two | ask --header 'Transfer-Encoding: chunked' --data-binary @- "$url/v1/topics/match/1")" \
    '{"ack":"routed","sequence":2}'
check publish_behind \
    "$(ask --output /dev/null --write-out '%{http_code}' --data-binary x --header 'Fanwire-Expect: 1' \
        "$url/v1/topics/match/1")" 409
# Long enough for curl to wait until it is told to go on.
check publish_after_continue \
    "$(head -c 100000 /dev/zero | tr '\0' x | ask --header 'Expect: 100-continue' --data-binary @- \
        "$url/v1/topics/match/1")" '{"ack":"routed","sequence":3}'
check history "$(ask "$url/v1/topics/match/1?limit=2" | wc -l | tr -d ' ')" 2
check kept_connection \
    "$(ask --output /dev/null --output /dev/null --write-out '%{num_connects} ' "$url/healthz" "$url/readyz")" '1 0 '
check no_responders \
    "$(ask --output /dev/null --write-out '%{http_code} %header{retry-after}' --data-binary '?' \
        "$url/v1/request/nobody")" '503 1'
check request "$(ask --data-binary 'is anybody there?' "$url/v1/request/shout?deadline=10s")" 'IS ANYBODY THERE?'
check no_disk_no_durable "$(ask --data-binary x "$url/v1/topics/match/2?ack=durable" | cut -d '"' -f 6)" ACK_LEVEL_UNAVAILABLE
check refused_topic \
    "$(ask --output /dev/null --write-out '%{http_code}' --data-binary x "$url/v1/topics?topic=a/%23")" 400
check console "$(ask --output /dev/null --write-out '%{http_code} %{content_type}' "$url/")" \
    '200 text/html; charset=utf-8'
check client "$(ask --output /dev/null --write-out '%{http_code} %{content_type}' "$url/fanwire.js")" \
    '200 text/javascript; charset=utf-8'
check types "$(ask "$url/fanwire.d.ts" | grep -c '^export function connect')" 1
check nothing_there "$(ask --output /dev/null --write-out '%{http_code}' "$url/v1/../etc/passwd" --path-as-is)" 404
check no_such_method "$(ask --output /dev/null --write-out '%{http_code}' --request DELETE "$url/v1/topics/match/1")" 405
check head "$(ask --head --output /dev/null --write-out '%{http_code}' "$url/healthz")" 200
check old_version "$(ask --http1.0 "$url/v1/topics/match/1?limit=1" | wc -l | tr -d ' ')" 1
check another_page \
    "$(ask --output /dev/null --write-out '%{http_code}' --header 'Origin: https://evil.example' \
        "$url/v1/topics/match/1")" 403
check stream \
    "$(curl --silent --no-buffer --max-time 20 "$url/v1/sse?topic=match/1&from=first" | sed -n '/^data: .*"one"/{p;q;}' |
        wc -l | tr -d ' ')" 1
poll="$url/v1/poll?topic=match/1&from=first"
cursor="$(ask "$poll&wait=0s&limit=1" | sed 's/.*"cursor":"//;s/".*//')"
check poll "$(ask "$poll&wait=20s&after=$cursor" | grep -c '"payload":"one"')" 1
