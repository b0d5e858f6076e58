//! What to change where: the settings of the proxies that are most in use, and of the server itself.
//!
//! Every nginx line here was tried against nginx 1.22; those of Caddy and `HAProxy` are from their manuals.

/// The path keeps bytes of a stream back. With `proxy_http_version 1.0`, nginx's default before 1.29.7, a buffered
/// answer passes only when a whole buffer is full: not even the head of a quiet stream comes through.
pub(crate) const BUFFERING: &str = "\
nginx:    proxy_buffering off; proxy_http_version 1.1;   (and no proxy_ignore_headers X-Accel-Buffering)
Caddy:    reverse_proxy … { flush_interval -1 }
HAProxy:  option http-no-delay                           (it does not buffer answers; look behind it)
server:   X-Accel-Buffering: no                          (nginx then passes on at once, unless told to ignore it)";

/// Compression on the way collects events until it has a block.
pub(crate) const GZIP: &str = "\
nginx:    gzip_types without text/event-stream, or gzip off; in that location (it does not heed no-transform)
Caddy:    @other not header Accept text/event-stream
          encode @other gzip
HAProxy:  compression type without text/event-stream
server:   no compression for text/event-stream, or a flush after every event";

/// A quiet stream is cut.
pub(crate) const IDLE: &str = "\
nginx:    proxy_read_timeout 1h;                         (60 s by default, between two reads from the server)
Caddy:    reverse_proxy … { transport http { read_timeout 1h } }   (none by default)
HAProxy:  timeout server 1h
          timeout client 1h
server:   a heartbeat more often than the cut; `fourways serve --heartbeat SECONDS`";

/// A quiet WebSocket is cut.
pub(crate) const IDLE_WEBSOCKET: &str = "\
nginx:    proxy_read_timeout 1h;                         (60 s by default)
          proxy_send_timeout 1h;
Caddy:    reverse_proxy … { stream_timeout 0 }           (0, the default, cuts none)
HAProxy:  timeout tunnel 1h
server:   a ping more often than the cut; `fourways serve --heartbeat SECONDS`";

/// The upgrade's headers are dropped on the way: both are hop-by-hop (RFC 9110 7.6.1), so a proxy must be told.
pub(crate) const UPGRADE: &str = "\
nginx:    proxy_http_version 1.1;
          proxy_set_header Upgrade $http_upgrade;
          proxy_set_header Connection \"upgrade\";
Caddy:    reverse_proxy passes upgrades as it is; look at what is before or behind it
HAProxy:  mode http passes upgrades as it is; no `option httpclose`";

/// Something on the way opens the WebSocket, looks into it, and shuts it.
pub(crate) const EARLY_CUT: &str = "\
path:     a filter, antivirus or load balancer that reads HTTP only; let it pass this address as a TCP tunnel
browser:  wss:// hides the frames from most of them; or use SSE, which looks like any download
HAProxy:  timeout tunnel 1h                              (else timeout client and server count)";

/// An answer to a poll comes from a cache.
pub(crate) const CACHED: &str = "\
nginx:    proxy_cache off; in that location              (and no proxy_ignore_headers Cache-Control)
Caddy:    no `cache` handler for that path
HAProxy:  no http-request cache-use for that path
server:   Cache-Control: no-store";

/// A held poll is cut.
pub(crate) const HOLD: &str = "\
nginx:    proxy_read_timeout 1h;                         (60 s by default)
Caddy:    reverse_proxy … { transport http { response_header_timeout 0 } }
HAProxy:  timeout server 1h
server:   hold less long than the cut; `fourways serve --max-wait SECONDS`";
