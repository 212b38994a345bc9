"""Schedules: when they run (`recurrence`), over which rows (`windows`), kept (`keeping`), fired (`firing`), and read (`reading`)."""
