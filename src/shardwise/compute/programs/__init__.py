"""What the tasks of each kind of stage do, one program a file."""
