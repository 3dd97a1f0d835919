//! worker fetches a page once a day, at a local time, and tells how it went as lines of JSON.

mod fetch;
mod schedule;
mod zone;

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, Local, NaiveTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

const USAGE: &str = "\
usage: worker COMMAND

  fetch URL   GET a page over HTTP or HTTPS, with the system's root certificates
  time ZONE   the time in ZONE, and in the zone that TZ names
  once        fetch WORKER_URL now, and tell when it would be fetched next
  run         fetch WORKER_URL now and every day at WORKER_AT, until SIGTERM
  --version   name and version of this program

environment:
  WORKER_URL  the page of `once` and `run`
  WORKER_AT   local time of the daily fetch, HH:MM, by default 03:30
";

/// The longest sleep; a clock that was set or a machine that slept is noticed after it.
const NAP: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let answer = match words[..] {
        ["--version"] => {
            println!("worker {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        ["fetch", url] => fetch::fetch(url),
        ["time", name] => time(name),
        ["once"] => Job::of_environment().and_then(|job| job.round()),
        ["run"] => return exit_code(Job::of_environment().and_then(|job| job.run())),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    exit_code(answer.and_then(|answer| print_line(&answer)))
}

fn exit_code(end: Result<(), String>) -> ExitCode {
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            // Where this cannot be printed either, the exit code is all that is left to tell.
            let _ = print_line(&json!({ "error": reason }));
            ExitCode::FAILURE
        }
    }
}

fn print_line(answer: &Value) -> Result<(), String> {
    writeln!(io::stdout(), "{answer}").map_err(|error| format!("stdout: {error}"))
}

/// The time now in the zone *name*, read from this machine's /usr/share/zoneinfo.
fn time(name: &str) -> Result<Value, String> {
    zone::check_tz(env::var("TZ").ok().as_deref())?;
    let (there, abbreviation) = zone::in_zone(Utc::now(), name)?;
    Ok(json!({
        "zone": name,
        "time": there.to_rfc3339_opts(SecondsFormat::Secs, true),
        "abbreviation": abbreviation,
        "local": text(&there.with_timezone(&Local)),
    }))
}

fn text(moment: &DateTime<Local>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, false)
}

/// What `once` and `run` do.
struct Job {
    url: String,
    at: NaiveTime,
}

impl Job {
    fn of_environment() -> Result<Self, String> {
        zone::check_tz(env::var("TZ").ok().as_deref())?;
        let url = env::var("WORKER_URL").map_err(|_| "WORKER_URL is not set".to_owned())?;
        let at = env::var("WORKER_AT").unwrap_or_else(|_| "03:30".to_owned());
        let at = schedule::parse_at(&at)?;
        Ok(Self { url, at })
    }

    fn next(&self, now: &DateTime<Local>) -> Result<DateTime<Local>, String> {
        schedule::next_run(now, self.at).ok_or_else(|| "no next run: the calendar ends".to_owned())
    }

    /// Fetches once; the answer says when the next round is due.
    fn round(&self) -> Result<Value, String> {
        let now = Local::now();
        let next = self.next(&now)?;
        let fetched = fetch::fetch(&self.url)?;
        Ok(json!({ "ran": text(&now), "next": text(&next), "fetched": fetched }))
    }

    /// Fetches again and again; a round that fails is printed and does not end the job. A signal
    /// ends it at once, or after the round that is under way.
    fn run(&self) -> Result<(), String> {
        let stop = stop_signals().map_err(|error| format!("signals: {error}"))?;
        loop {
            let begun = Local::now();
            let line = self
                .round()
                .unwrap_or_else(|reason| json!({ "ran": text(&begun), "error": reason }));
            print_line(&line)?;
            let next = self.next(&begun)?;
            while let Ok(left) = (next - Local::now()).to_std() {
                if left.is_zero() {
                    break;
                }
                match stop.recv_timeout(left.min(NAP)) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                        return print_line(&json!({ "stopped": text(&Local::now()) }));
                    }
                }
            }
        }
    }
}

/// A channel that receives one message when this process is asked to end.
fn stop_signals() -> io::Result<Receiver<()>> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            // Nobody listens any more only when the process is about to end anyway.
            let _ = sender.send(());
        }
    });
    Ok(receiver)
}
