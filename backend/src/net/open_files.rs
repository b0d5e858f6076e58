//! A warning at the start if the process may have fewer files open than there may be connections, each of which is one.

use std::fs;

/// Files that are open beside connections: the log's, listeners, what the runtime needs.
const OWN: u64 = 200;

/// Says so if there may be more connections than files.
pub(crate) fn warn_if_few(max_connections: usize) {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let Some(files) = allowed(&limits) else { return };
    if files < max_connections as u64 + OWN {
        tracing::warn!(
            files,
            max_connections,
            "the process may have fewer files open than there may be connections: raise it (ulimit -n, LimitNOFILE), or lower \
             --max-connections"
        );
    }
}

/// The soft limit in `/proc/PID/limits`; `None` if there is none, or it is not said.
fn allowed(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_counts() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
            Max processes             127235               127235               processes \n\
            Max open files            1024                 1048576              files     \n";
        assert_eq!(allowed(limits), Some(1024));
        assert_eq!(
            allowed("Max open files            unlimited            unlimited            files\n"),
            None
        );
        assert_eq!(allowed(""), None);
    }
}
