//! The settings that fix each fault, for the most widely used proxies and for the server itself.
//!
//! Every nginx line here was tried with nginx 1.22; those for Caddy and `HAProxy` are from their manuals.

/// The fix for a path that holds back the bytes of a stream. With `proxy_http_version 1.0`, nginx's default before
/// 1.29.7, a buffered answer passes only when a whole buffer is full: not even the head of a quiet stream comes
/// through.
pub(crate) const BUFFERING: &str = "\
nginx:    proxy_buffering off; proxy_http_version 1.1;   (and no proxy_ignore_headers X-Accel-Buffering)
Caddy:    reverse_proxy … { flush_interval -1 }
HAProxy:  option http-no-delay                           (it does not buffer answers; look behind it)
server:   X-Accel-Buffering: no                          (nginx then does not buffer, unless told to ignore it)";

/// The fix for compression on the path that collects events until it has a whole block.
pub(crate) const GZIP: &str = "\
nginx:    gzip_types without text/event-stream, or gzip off; in that location (it does not heed no-transform)
Caddy:    @other not header Accept text/event-stream
          encode @other gzip
HAProxy:  compression type without text/event-stream
server:   no compression for text/event-stream, or a flush after every event";

/// The fix for a path that cuts a quiet stream.
pub(crate) const IDLE: &str = "\
nginx:    proxy_read_timeout 1h;                         (60 s by default, between two reads from the server)
Caddy:    reverse_proxy … { transport http { read_timeout 1h } }   (none by default)
HAProxy:  timeout server 1h
          timeout client 1h
server:   a heartbeat interval below the timeout; `fourways serve --heartbeat SECONDS`";

/// The fix for a path that cuts a quiet WebSocket.
pub(crate) const IDLE_WEBSOCKET: &str = "\
nginx:    proxy_read_timeout 1h;                         (60 s by default)
          proxy_send_timeout 1h;
Caddy:    reverse_proxy … { stream_timeout 0 }           (0, the default, cuts none)
HAProxy:  timeout tunnel 1h
server:   a ping interval below the timeout; `fourways serve --heartbeat SECONDS`";

/// The fix for a path that removes the upgrade headers: both are hop-by-hop (RFC 9110 7.6.1), so a proxy forwards them
/// only if it is told to.
pub(crate) const UPGRADE: &str = "\
nginx:    proxy_http_version 1.1;
          proxy_set_header Upgrade $http_upgrade;
          proxy_set_header Connection \"upgrade\";
Caddy:    reverse_proxy passes upgrades by default; look before and behind it
HAProxy:  mode http passes upgrades by default; no `option httpclose`";

/// The fix for a path that lets a WebSocket open, inspects its frames, and cuts it.
pub(crate) const EARLY_CUT: &str = "\
path:     a filter, antivirus or load balancer that understands only HTTP; let it pass this address as a TCP tunnel
browser:  wss:// hides the frames from most of these; or use SSE, which looks like any download
HAProxy:  timeout tunnel 1h                              (else timeout client and server count)";

/// The fix for a cache on the path that answers polls.
pub(crate) const CACHED: &str = "\
nginx:    proxy_cache off; in that location              (and no proxy_ignore_headers Cache-Control)
Caddy:    no `cache` handler for that path
HAProxy:  no http-request cache-use for that path
server:   Cache-Control: no-store";

/// The fix for a path that cuts a held poll.
pub(crate) const HOLD: &str = "\
nginx:    proxy_read_timeout 1h;                         (60 s by default)
Caddy:    reverse_proxy … { transport http { response_header_timeout 0 } }
HAProxy:  timeout server 1h
server:   a hold below the timeout; `fourways serve --max-wait SECONDS`";
