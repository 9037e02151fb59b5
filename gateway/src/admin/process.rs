//! What the kernel says of this process, under the names that Prometheus clients in every language
//! use, so that ready-made panels and alerts find them.

use std::fmt::Write as _;
use std::fs;

/// The kernel counts processor time for programs in hundredths of a second, whatever its own clock does.
const TICKS_PER_SECOND: f64 = 100.0;

/// What is read of one process.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
struct Usage {
    cpu_seconds: f64,
    threads: u64,
    resident_bytes: u64,
    open_files: u64,
    files_max: u64,
}

/// Appends the families to `text`; nothing where the kernel does not tell.
pub(super) fn write(text: &mut Vec<u8>) {
    let Some(usage) = read() else { return };
    text.extend_from_slice(usage.lines().as_bytes());
}

fn read() -> Option<Usage> {
    let (cpu_seconds, threads) = of_stat(&fs::read_to_string("/proc/self/stat").ok()?)?;
    let resident_bytes = of_status(&fs::read_to_string("/proc/self/status").ok()?)?;
    Some(Usage {
        cpu_seconds,
        threads,
        resident_bytes,
        open_files: open_files()?,
        files_max: of_limits(&fs::read_to_string("/proc/self/limits").ok()?)?,
    })
}

/// Newer kernels give the count as the folder's size. Where they do not, it is counted: a
/// directory of a hundred thousand entries then costs a scrape some ten milliseconds.
fn open_files() -> Option<u64> {
    match fs::metadata("/proc/self/fd").ok()?.len() {
        0 => Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64),
        counted => Some(counted),
    }
}

/// Processor time in seconds, and threads. The program's name, in brackets, may itself hold spaces
/// and brackets: fields are counted from the last one.
fn of_stat(stat: &str) -> Option<(f64, u64)> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // proc(5) counts from 1 with pid and name before: utime is 14, stime 15, num_threads 20.
    let field = |number: usize| fields.get(number - 3)?.parse::<u32>().ok();
    let ticks = f64::from(field(14)?) + f64::from(field(15)?);
    Some((ticks / TICKS_PER_SECOND, u64::from(field(20)?)))
}

/// Bytes in memory.
fn of_status(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// How many files may be open. The limit in force stands first, the one that it may be raised to second.
fn of_limits(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        count => count.parse().ok(),
    }
}

impl Usage {
    fn lines(self) -> String {
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, help: &str, value: String| {
            let _ = write!(
                text,
                "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"
            );
        };
        family(
            "process_cpu_seconds_total",
            "counter",
            "Processor time spent, in seconds.",
            self.cpu_seconds.to_string(),
        );
        family(
            "process_threads",
            "gauge",
            "Threads of the process.",
            self.threads.to_string(),
        );
        family(
            "process_resident_memory_bytes",
            "gauge",
            "Memory held, in bytes.",
            self.resident_bytes.to_string(),
        );
        family(
            "process_open_fds",
            "gauge",
            "Files and sockets open now.",
            self.open_files.to_string(),
        );
        family(
            "process_max_fds",
            "gauge",
            "Files and sockets that may be open at once.",
            self.files_max.to_string(),
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_shifts_no_field() {
        let stat = "77 (a ) b) S 1 1 1 0 -1 4194560 9 0 0 0 1250 750 0 0 20 0 9 0 100 1 2";
        assert_eq!(of_stat(stat), Some((20.0, 9)));
        assert_eq!(of_stat("77 (short) S 1"), None);
    }

    #[test]
    fn memory_is_told_in_bytes() {
        assert_eq!(
            of_status("VmPeak:\t  99 kB\nVmRSS:\t    20 kB\n"),
            Some(20 * 1024)
        );
        assert_eq!(of_status("Name:\tdoorline\n"), None);
    }

    #[test]
    fn the_limit_in_force_is_told() {
        let limits = "Limit     Soft Limit  Hard Limit  Units\nMax open files   1024   4096   files\n";
        assert_eq!(of_limits(limits), Some(1024));
        assert_eq!(
            of_limits("Max open files  unlimited unlimited files"),
            Some(u64::MAX)
        );
    }

    #[test]
    fn this_process_has_files_threads_and_memory() {
        let usage = read().unwrap();
        assert!(usage.open_files > 2 && usage.threads >= 1 && usage.resident_bytes > 4096);
        assert!(usage.files_max >= usage.open_files);
        let text = usage.lines();
        for name in ["process_cpu_seconds_total", "process_open_fds", "process_max_fds"] {
            assert!(
                text.contains(&format!("\n{name} ")),
                "{name} is missing in {text}"
            );
        }
    }
}
