//! Entry point of the fuzz target for the log's files. No other build has it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use fourways_shared::{Epoch, Filter, Offset};

use super::{
    block::Salt,
    files::SystemFiles,
    segment,
    store::{Opened, Store},
};
use crate::engine::{Archive as _, Retention, RetentionRule, Selection};

const EPOCH: Epoch = Epoch::from_bits(7);

/// Opens a log whose only segment has a valid file header followed by these bytes, and reads all of it. Bytes that
/// look like the header of a block with a length that fits get a valid checksum, so that the code behind the checksum
/// is reached.
///
/// # Panics
/// If the log does not open, or a read returns offsets that do not rise.
pub fn segments(bytes: &[u8]) {
    let folder = std::env::temp_dir().join(format!("fourways-fuzz-{}", std::process::id()));
    drop(fs::remove_dir_all(&folder));
    write(&folder, bytes);
    let everything = Retention { events: usize::MAX, bytes: u64::MAX, age: std::time::Duration::MAX };
    for _ in 0..2 {
        let mut visited = 0;
        let rules = [RetentionRule::for_all(everything)];
        let Opened { store, head, .. } =
            Store::open(Arc::new(SystemFiles), &folder, None, &rules, &mut |_, _| visited += 1)
                .expect("a log that is damaged opens");
        let filters = [Filter::all()];
        let (mut after, mut read) = (0, 0);
        for _ in 0..10_000 {
            let older = store.read(Selection(&filters), Offset(after), Offset(head), 7).expect("it is read");
            let mut last = after;
            for event in &older.events {
                assert!(event.offset() > last, "{} after {last}", event.offset());
                last = event.offset();
            }
            read += older.events.len();
            let next = older.resumes_after.unwrap_or(older.through).0;
            assert!(
                next >= last && (next > after || after >= head),
                "it goes on at {next}, from {after} to {head}"
            );
            after = next;
            if after >= head {
                break;
            }
        }
        assert!(read <= visited, "{read} were read of {visited}");
    }
}

fn write(folder: &Path, bytes: &[u8]) {
    let all: PathBuf = folder.join("all");
    fs::create_dir_all(&all).expect("a folder");
    fs::write(folder.join("log"), format!("fourways log 1\n{EPOCH}\n")).expect("a file");
    let salt = Salt::Blocks(5);
    let mut file = segment::file_head(EPOCH, salt).to_vec();
    file.extend_from_slice(bytes);
    salt.right(&mut file);
    fs::write(all.join(format!("{:020}.log", 1)), file).expect("a file");
}
