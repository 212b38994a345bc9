"""Schedules: when they run (`recurrence`), over which rows (`windows`), what a run is (`runs`), checked (`checking`) and kept (`keeping`), paused and
resumed (`pausing`) with a `ledger`, fired (`firing`), settled (`settling`), and read (`reading`)."""
