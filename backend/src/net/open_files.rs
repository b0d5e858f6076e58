//! A warning at the start if the limit of open files is too low for the limit of connections, each of which is a file.

use std::fs;

/// Number of open files reserved for other uses than connections: the log, listeners and the runtime.
const OWN: u64 = 200;

/// Logs a warning if there may be more connections than the process may open files.
pub(crate) fn warn_if_few(max_connections: usize) {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let Some(files) = allowed(&limits) else { return };
    if files < max_connections as u64 + OWN {
        tracing::warn!(
            files,
            max_connections,
            "the limit of open files is too low for the limit of connections: raise it (ulimit -n, LimitNOFILE), or lower \
             --max-connections"
        );
    }
}

/// Returns the soft limit of open files from the text of `/proc/PID/limits`; `None` if it is unlimited or absent.
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
