module lorac

go 1.26.0

require (
	github.com/alecthomas/kong v1.17.0
	github.com/alecthomas/participle/v2 v2.1.4
	github.com/dave/jennifer v1.7.1
	github.com/google/pprof v0.0.0-20261016150608-1facf8f91b50
	gopkg.in/yaml.v3 v3.0.1
)
