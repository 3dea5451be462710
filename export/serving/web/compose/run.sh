# nginx: its configuration is read again when the rollout changes, and its request log is rotated (4 files of 16 MB).
set -eu
conf=$${NGINX_CONF:-/etc/nginx/nginx.conf}
split=$${SPLIT:-/models/$name/rollout/split.conf}
log=$${LOG:-/logs/requests.jsonl}
printf 'split_clients "$${request_id}log" $$logged { %s }\n' "$${LOGGED:-* 0;}" > "$${LOGGED_CONF:-/tmp/logged.conf}"
nginx -c "$$conf" -g 'daemon off;' &
nginx=$$!
trap 'kill -QUIT $$nginx' TERM INT
seen=$$(cksum < "$$split")
while sleep "$${EVERY:-2}" && kill -0 $$nginx 2> /dev/null; do
    if now=$$(cksum < "$$split") && [ "$$now" != "$$seen" ] && nginx -t -q -c "$$conf"; then
        kill -HUP $$nginx
        seen=$$now
    fi
    if [ "$$(wc -c < "$$log" 2> /dev/null || echo 0)" -gt "$${LOG_SIZE:-16777216}" ]; then
        for i in 2 1; do [ ! -f "$$log.$$i" ] || mv "$$log.$$i" "$$log.$$((i + 1))"; done
        mv "$$log" "$$log.1"
        kill -USR1 $$nginx
    fi
done
wait $$nginx
