//! Power is cut at every operation: nothing is lost, nothing doubled.

use super::*;

/// Runs the job, ends it at operation `cut`, and runs it again; tells what was published in all. With a seed the power is
/// cut; without one only the process dies, and the outputs are taken by the next in line before it runs again.
fn survive(cut: u64, seed: Option<u64>) -> Option<BTreeMap<String, Vec<u8>>> {
    let (disk, home) = (FakeDisk::new(), Path::new("/home"));
    disk.create_dirs(&home.join("raw")).unwrap();
    disk.create_dirs(&home.join("out")).unwrap();
    disk.create_dirs(&home.join("raw/bad")).unwrap();
    disk.put(&home.join("raw/a.csv"), b"a,b\n1,2\n3\n");
    disk.put(&home.join("raw/b.csv"), b"a,b\n4,5\n");
    let mut consumed = BTreeMap::new();
    let power = disk.power();
    power.cut_at(power.spent() + cut);
    let run = || job(PLAIN).run(&mut Context::fake_on(&disk, home));
    if run().is_ok() {
        return None;
    }
    match seed {
        Some(seed) => disk.reboot(seed),
        None => {
            disk.revive();
            consume(&disk, &mut consumed);
        }
    }
    run().unwrap_or_else(|e| panic!("cut {cut} {seed:?}: {}", e.chain()));
    consume(&disk, &mut consumed);
    let rest: Vec<PathBuf> = disk
        .files()
        .into_keys()
        .filter(|path| !path.starts_with("/home/state"))
        .collect();
    let kept = [
        "raw/bad/a.csv.rejects.xml",
        "raw/done/a.csv",
        "raw/done/b.csv",
    ]
    .map(|path| home.join(path));
    assert_eq!(rest, kept, "cut {cut} {seed:?}");
    Some(consumed)
}

/// Takes every published output away, durably, as whoever waits for them does.
fn consume(disk: &FakeDisk, consumed: &mut BTreeMap<String, Vec<u8>>) {
    for (path, bytes) in disk.files() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.starts_with("/home/out") && !name.starts_with('.') {
            assert!(
                consumed.insert(name.clone(), bytes).is_none(),
                "{name} was published twice"
            );
            disk.remove(&path).unwrap();
        }
    }
    disk.sync_dir(Path::new("/home/out")).unwrap();
}

#[test]
fn death_at_every_operation_loses_and_doubles_nothing() {
    let expected = BTreeMap::from([
        ("W_a.csv".to_owned(), b"a,b\n1,2\n".to_vec()),
        ("W_b.csv".to_owned(), b"a,b\n4,5\n".to_vec()),
    ]);
    for cut in 1.. {
        let seeds = (0..12).map(Some).chain([None]);
        let outcomes: Vec<_> = seeds.filter_map(|seed| survive(cut, seed)).collect();
        for consumed in &outcomes {
            assert_eq!(consumed, &expected, "cut {cut}");
        }
        if outcomes.is_empty() {
            assert!(cut > 25, "only {cut} operations");
            break;
        }
    }
}
