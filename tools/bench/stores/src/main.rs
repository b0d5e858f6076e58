//! Compares the log's own files with redb and SQLite: durable appends, reads in order, and bytes on the disk.
//!
//! `cargo run --release --manifest-path tools/bench/stores/Cargo.toml [FOLDER]`; the disk of the folder is measured.
//! The comparison favours the other stores: they only keep bytes under a number, while the log also encodes and names
//! each event, keeps it in memory and shows it to readers.
#![forbid(unsafe_code)]

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use fourways_log::{engine::{Append, DiskEngine, Draft, Durability, Engine, Retention, RetentionRule, Shard, TailCap}, subscription::Subscription};
use fourways_shared::{After, Data, EventName, Policy, Technique};
use redb::{Database, ReadableDatabase as _, TableDefinition};
use rusqlite::{Connection, params};

/// The size of each kind of batch, and the number of batches. Every append waits until the disk has confirmed it.
const BATCHES: [(usize, usize); 3] = [(1, 500), (64, 300), (1000, 80)];
const DATA_BYTES: usize = 400;
/// Number of events that are read at once.
const READ: usize = 1000;
const TABLE: TableDefinition<u64, &[u8]> = TableDefinition::new("events");

/// A store of events, as one of the candidates.
trait Store {
    fn append(&mut self, batch: &[String]) -> anyhow::Result<()>;
    /// Reads all events in order, [`READ`] at once, and returns the number of bytes of their data.
    fn read(&mut self) -> anyhow::Result<usize>;
}

type Open = fn(&Path) -> anyhow::Result<Box<dyn Store>>;

fn main() -> anyhow::Result<()> {
    let base = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    println!("{:<28}{:>14}{:>14}{:>14}{:>14}{:>14}", "", "1 at once", "64 at once", "1000 at once", "read", "bytes an");
    println!("{:<28}{:>14}{:>14}{:>14}{:>14}{:>14}", "", "events/s", "events/s", "events/s", "events/s", "event");
    let stores: [(&str, Open); 3] = [
        ("Fourways' segments", |folder| Ok(Box::new(Segments::open(folder)?))),
        ("redb, Immediate", |folder| Ok(Box::new(Redb::open(folder)?))),
        ("SQLite, WAL, FULL", |folder| Ok(Box::new(Sqlite::open(folder)?))),
    ];
    for (name, open) in stores {
        let folder = tempfile::tempdir_in(&base)?;
        let mut store = open(folder.path())?;
        let mut figures = Vec::new();
        let mut written = 0;
        for (size, count) in BATCHES {
            let batch: Vec<String> = (0..size).map(data).collect();
            let began = Instant::now();
            for _ in 0..count {
                store.append(&batch)?;
            }
            written += size * count;
            figures.push((size * count) as f64 / began.elapsed().as_secs_f64());
        }
        let began = Instant::now();
        let bytes = store.read()?;
        anyhow::ensure!(bytes >= written * DATA_BYTES, "{name}: only {bytes} bytes of {written} events were read");
        figures.push(written as f64 / began.elapsed().as_secs_f64());
        drop(store);
        figures.push(size_of(folder.path())? as f64 / written as f64);
        let cells: String = figures.iter().map(|figure| format!("{figure:>14.0}")).collect();
        println!("{name:<28}{cells}");
    }
    Ok(())
}

fn data(n: usize) -> String {
    let text = format!("{n:08} ");
    text.repeat(DATA_BYTES.div_ceil(text.len()))[..DATA_BYTES].to_owned()
}

fn size_of(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { size_of(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

struct Segments {
    engine: DiskEngine,
    runtime: tokio::runtime::Runtime,
}

impl Segments {
    fn open(folder: &Path) -> anyhow::Result<Self> {
        let rule = RetentionRule::for_all(Retention {
            events: usize::MAX,
            bytes: u64::MAX,
            age: Duration::from_hours(1000),
        });
        // Keep little in memory, so that reads come from the disk.
        let tail = TailCap { events: 4, bytes: 1 << 20 };
        let engine = DiskEngine::open(folder, vec![rule], tail, Durability::Always, 1)?;
        Ok(Self { engine, runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()? })
    }
}

impl Store for Segments {
    fn append(&mut self, batch: &[String]) -> anyhow::Result<()> {
        let drafts = batch.iter().map(|text| Draft { name: EventName::DEFAULT, data: Data::text(text) }).collect();
        let append = Append { topic: "bench.stores".parse()?, drafts, key: None };
        self.runtime.block_on(self.engine.append(append))?;
        Ok(())
    }

    fn read(&mut self) -> anyhow::Result<usize> {
        let topics = ["bench.stores".parse()?];
        let tail = self.engine.tail();
        let mut reading =
            Subscription::new(tail, &topics, After::Earliest, Policy::All, Technique::ShortPoll, Shard::DIRECT);
        self.runtime.block_on(async {
            let mut bytes = 0;
            while let Some(batch) = reading.now(READ).await {
                bytes += batch.events.iter().map(|event| event.event().data.len()).sum::<usize>();
            }
            Ok(bytes)
        })
    }
}

struct Redb {
    database: Database,
    next: u64,
}

impl Redb {
    fn open(folder: &Path) -> anyhow::Result<Self> {
        Ok(Self { database: Database::create(folder.join("events.redb"))?, next: 1 })
    }
}

impl Store for Redb {
    fn append(&mut self, batch: &[String]) -> anyhow::Result<()> {
        // `Durability::Immediate` is the default: a committed transaction is on the disk.
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(TABLE)?;
            for text in batch {
                table.insert(self.next, text.as_bytes())?;
                self.next += 1;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn read(&mut self) -> anyhow::Result<usize> {
        let (mut from, mut bytes) = (1, 0);
        while from < self.next {
            let transaction = self.database.begin_read()?;
            let table = transaction.open_table(TABLE)?;
            for row in table.range(from..from + READ as u64)? {
                bytes += row?.1.value().to_vec().len();
            }
            from += READ as u64;
        }
        Ok(bytes)
    }
}

struct Sqlite {
    connection: Connection,
    next: i64,
}

impl Sqlite {
    fn open(folder: &Path) -> anyhow::Result<Self> {
        let connection = Connection::open(folder.join("events.sqlite"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute("CREATE TABLE events (number INTEGER PRIMARY KEY, data BLOB NOT NULL)", [])?;
        Ok(Self { connection, next: 1 })
    }
}

impl Store for Sqlite {
    fn append(&mut self, batch: &[String]) -> anyhow::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO events VALUES (?1, ?2)")?;
            for text in batch {
                insert.execute(params![self.next, text.as_bytes()])?;
                self.next += 1;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn read(&mut self) -> anyhow::Result<usize> {
        let (mut from, mut bytes) = (1, 0);
        while from < self.next {
            let mut select =
                self.connection.prepare_cached("SELECT data FROM events WHERE number >= ?1 ORDER BY number LIMIT ?2")?;
            let mut rows = select.query(params![from, READ as i64])?;
            while let Some(row) = rows.next()? {
                bytes += row.get::<_, Vec<u8>>(0)?.len();
            }
            from += READ as i64;
        }
        Ok(bytes)
    }
}
