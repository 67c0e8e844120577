//! Files go in, files come out: on the real disk, and on one whose power is cut.

mod formats;
mod looks;
mod places;
mod power;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::*;
use crate::data::Compression;
use crate::disk::{Disk, FakeDisk};

fn job(xml: &str) -> Convert {
    let file = jobfile::JobFile::from_text(Path::new("convert.xml"), xml.as_bytes()).unwrap();
    Convert::new(file.params().unwrap()).unwrap()
}

fn invalid(xml: &str) -> String {
    let file = jobfile::JobFile::from_text(Path::new("convert.xml"), xml.as_bytes()).unwrap();
    match file.params() {
        Err(problems) => problems.to_string(),
        Ok(params) => Convert::new(params).map(|_| ()).unwrap_err().at,
    }
}

const PLAIN: &str = r#"<convert name="c"><input dir="raw" match="*.csv" stable="0s" max-bad="1"/><format type="csv" na="NA"/>
    <output dir="out" file="W" format="csv"/></convert>"#;

struct Home {
    dir: tempfile::TempDir,
    cx: Context,
}

impl Home {
    fn new() -> Home {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("raw")).unwrap();
        let cx = Context::fake(dir.path());
        Home { dir, cx }
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.dir.path().join("raw").join(name), bytes).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.dir.path().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    fn names(&self, dir: &str) -> Vec<String> {
        let entries = crate::disk::RealDisk
            .list(&self.dir.path().join(dir))
            .unwrap_or_default();
        entries
            .iter()
            .filter(|entry| !entry.meta.folder)
            .map(crate::disk::Entry::name)
            .collect()
    }
}
