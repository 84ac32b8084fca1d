module lorac

go 1.26.0
