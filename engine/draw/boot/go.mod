module boot.orrery

go 1.26.0
