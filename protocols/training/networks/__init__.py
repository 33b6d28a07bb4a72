"""The networks of the tasks, each on an array and as its float twin: the same model in plain float32 torch."""
