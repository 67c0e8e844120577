//! The job file: any text either is a job or has problems that tell their place; and every problem can be shown.

#![no_main]

use std::path::Path;

use jobfile::JobFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("job.xml");
    let (job, problems) = JobFile::inspect(path, bytes);
    assert!(job.is_some() || !problems.to_string().is_empty());
    if let Ok(mut job) = JobFile::from_text(path, bytes) {
        drop(job.params::<jobfile::Exec>());
        drop(job.set("name", "other"));
    }
});
