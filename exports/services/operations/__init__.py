"""Operations: recorded beside what runs, read, made for a handler, moved on by external workers, deleted."""
