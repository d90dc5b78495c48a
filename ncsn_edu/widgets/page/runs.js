// What an explorer has found for its values, and its run, in pieces, so that the page stays awake.
// This file does NOT draw, nor wait: who calls `work` says when, and for how long.

class Posed {
  constructor(explorer, fixed) {
    Object.assign(this, { explorer, fixed, problem: null, found: null, run: null, done: false });
  }

  // Take up the problem of these values. Another one than before ends the run and forgets what it found.
  pose(values) {
    const problem = JSON.stringify(values);
    if (problem === this.problem) return;
    Object.assign(this, { problem, values, found: this.explorer.compute(values, this.fixed), run: null, done: false });
  }

  // What was found is no longer wanted: the next `pose` begins from nothing.
  forget() {
    Object.assign(this, { problem: null, run: null, done: false });
  }

  get running() {
    return this.run !== null;
  }

  // Run from the beginning. An explorer's `steps` renews what it was given as found, and yields wherever it can stop.
  start() {
    Object.assign(this, { run: this.explorer.steps(this.found, this.values, this.fixed), done: false });
  }

  // Stop where it is; what there is so far stays.
  stop() {
    this.run = null;
  }

  // Go on for so many milliseconds, by one step at least.
  work(milliseconds, now = () => performance.now()) {
    const end = now() + milliseconds;
    while (this.run !== null) {
      if (this.run.next().done) Object.assign(this, { run: null, done: true });
      if (now() >= end) return;
    }
  }
}
