package config

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestConfigPage compares docs/config.md with the tables; -update rewrites it.
func TestConfigPage(t *testing.T) {
	const path = "../../docs/config.md"
	goldenFile(t, path, configPage())
}

func configPage() []byte {
	var b bytes.Buffer
	fmt.Fprint(&b, `# Keys of a config

Made from the loader's tables by `+"`go test ./compiler/config -run ConfigPage -update`"+`; do not edit.

    lorac check CONFIG               what became of every key of a file, and which defaults are in effect
    lorac check CONFIG --json        the same for programs
    lorac check --schema > lorac.schema.json

The last is a JSON Schema; an editor with the YAML language server completes and explains keys with the first line

    # yaml-language-server: $schema=lorac.schema.json

YAML is read as PyYAML reads it (1.1: `+"`1.e-5`"+` is a number, `+"`yes`"+` is True); `+"`1e-5`"+`, a string there, is taken as the number
it looks like, with a warning. A key that stands twice, or in no table below, is an error.

## Keys that have an effect

`+"`train_dataset`"+` stands for `+"`eval_dataset`"+`, too, where that has the same key.

| key | value | without it | what it does |
| --- | --- | --- | --- |
`)
	for _, a := range described {
		if strings.HasPrefix(a.path, "eval_dataset") {
			continue
		}
		for _, r := range expand([]row{{strings.Replace(a.path, "DATASET", "train_dataset", 1), Used, ""}}) {
			value := a.is.name
			if a.is.enum != nil {
				value = "`" + strings.Join(slices.DeleteFunc(sortedKeys(a.is.enum), func(s string) bool { return s == "" }), "`, `") + "`"
			}
			def := ""
			if a.def != nil && a.def != "" {
				def = "`" + spell(a.def) + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.path, value, def, a.text)
		}
	}
	fmt.Fprint(&b, "\n## Keys without effect here, and why\n\n")
	byReason(&b, Ignored)
	fmt.Fprint(&b, "\n## Keys that are refused, unless they are switched off\n\nThe text after a semicolon is the alternative.\n\n")
	byReason(&b, Refused)
	return b.Bytes()
}

// byReason lists the keys of a status, those of one reason together.
func byReason(b *bytes.Buffer, status Status) {
	var reasons []string
	keys := map[string][]string{}
	for _, r := range schema {
		if r.status != status || strings.HasPrefix(r.path, "eval_dataset") && rowsHave("train"+strings.TrimPrefix(r.path, "eval")) {
			continue
		}
		if keys[r.why] == nil {
			reasons = append(reasons, r.why)
		}
		keys[r.why] = append(keys[r.why], r.path)
	}
	for _, why := range reasons {
		list := bySection(keys[why])
		fmt.Fprintf(b, "- **%s**: `%s`\n", why, strings.ReplaceAll(strings.Join(list, ", "), "model.model_config", "model_config"))
	}
}

func rowsHave(path string) bool {
	return slices.ContainsFunc(schema, func(r row) bool { return r.path == path })
}
