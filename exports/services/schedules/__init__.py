"""Schedules: when they run (`recurrence`), over which rows (`windows`), what a run is (`runs`), kept (`keeping`), fired (`firing`), settled
(`settling`), and read (`reading`)."""
