package build

import (
	"fmt"

	"lorac/runtime/sys/human"
)

// CheckSpace refuses to begin files that their disk has no space for: it would be
// full in the middle of them. A file is written completely or not at all, so one
// that it replaces counts as space no more than any other. Below 0, free is not
// known.
func CheckSpace(what, dir string, need, free int, help string) error {
	if free < 0 || need <= free {
		return nil
	}
	return fmt.Errorf("%s needs %s in %s, where %s is free, %s B less\n  = help: %s", what, human.Bytes(need), dir, human.Bytes(free), human.Thousands(need-free), help)
}
