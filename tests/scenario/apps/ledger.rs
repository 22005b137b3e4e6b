// SPDX-License-Identifier: Apache-2.0

//! Threads, channels, a lock and a condition: on standard input a number per line, on standard
//! output the number and a digest of all that was kept. The answers depend on nothing but the
//! numbers.
use std::collections::HashMap;
use std::io::BufRead;
use std::sync::{mpsc, Arc, Condvar, Mutex};
use std::thread;

const WORKERS: u64 = 6;

#[derive(Default)]
struct Shared {
    finished: u64,
    kept: HashMap<u64, String>,
}

fn work(number: u64, worker: u64, shared: &(Mutex<Shared>, Condvar)) {
    let mut state = number.wrapping_add(worker << 32);
    for _ in 0..1000 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        // Each has keys of its own, so that no order of threads shows.
        let key = (state >> 35) % 300 * WORKERS + worker;
        let value = format!("{:x}", state).repeat((state >> 40) as usize % 8 + 1);
        shared.0.lock().unwrap().kept.insert(key, value);
    }
    shared.0.lock().unwrap().finished += 1;
    shared.1.notify_one();
}

fn digest(shared: &(Mutex<Shared>, Condvar)) -> u64 {
    let mut state = shared.0.lock().unwrap();
    while state.finished < WORKERS {
        state = shared.1.wait(state).unwrap();
    }
    state.finished = 0;
    state.kept.iter().fold(0, |sum: u64, (key, value)| {
        value.bytes().fold(sum, |part, byte| part.wrapping_add(key * byte as u64))
    })
}

fn main() {
    let shared = Arc::new((Mutex::new(Shared::default()), Condvar::new()));
    let orders: Vec<mpsc::Sender<u64>> = (0..WORKERS)
        .map(|worker| {
            let (sender, receiver) = mpsc::channel();
            let shared = shared.clone();
            thread::spawn(move || receiver.iter().for_each(|number| work(number, worker, &shared)));
            sender
        })
        .collect();
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let number: u64 = line.unwrap().parse().unwrap();
        orders.iter().for_each(|sender| sender.send(number).unwrap());
        println!("{} {:x}", number, digest(&shared));
    }
}
