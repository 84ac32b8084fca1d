package tokenizer

// For tests that read GGUF files, whose package imports this one.
var (
	SeededLines = seededLines
	DigestOf    = digestOf
)
