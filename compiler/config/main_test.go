package config

import (
	"os"
	"testing"

	"lorac/cmd/test/testkit"
)

func TestMain(m *testing.M) {
	testkit.Generous()
	os.Exit(m.Run())
}
