//go:build linux && amd64

package embedded_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// fetch runs the script with a program in the place of npm and an empty cache.
func fetch(t *testing.T, npm string, env ...string) (cache, stdout, stderr string, err error) {
	t.Helper()
	bin, cache := t.TempDir(), t.TempDir()
	script := "#!/bin/sh\nset -e\n" + npm
	if err := os.WriteFile(filepath.Join(bin, "npm"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "./fetch-libchdb.sh")
	cmd.Env = append(append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "USHER_CACHE="+cache,
		"USHER_LIBCHDB="), env...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return cache, out.String(), errs.String(), err
}

// What does not carry the pinned sum is not kept, and neither is anything else of a failed fetch.
func TestFetchRefuses(t *testing.T) {
	check := func(npm, want string) {
		t.Helper()
		cache, stdout, stderr, err := fetch(t, npm)
		if err == nil || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%q: error %v, printed %q, said %q, want %q", npm, err, stdout, stderr, want)
		}
		_ = filepath.WalkDir(cache, func(path string, d os.DirEntry, _ error) error {
			if !d.IsDir() {
				t.Errorf("%q left %s behind", npm, filepath.Base(path))
			}
			return nil
		})
	}
	check("echo changed > chdb-lib.tgz", "sha256 is not the pinned one")
	check("exit 1", "npm pack @chdb/lib-linux-x64-gnu@26.7.3-stable.1 failed")
	check("exit 0", "left no package file")
}

func TestFetchUsesWhatIsThere(t *testing.T) {
	own := filepath.Join(t.TempDir(), "own.so")
	if err := os.WriteFile(own, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, out, said, err := fetch(t, "exit 1", "USHER_LIBCHDB="+own); err != nil || out != own+"\n" {
		t.Errorf("own copy: %q, %v, %s", out, err, said)
	}
	if _, _, said, err := fetch(t, "exit 1", "USHER_LIBCHDB="+own+".not"); err == nil ||
		!strings.Contains(said, "USHER_LIBCHDB") {
		t.Errorf("a copy that is not there: %v, %s", err, said)
	}
	cache := t.TempDir()
	dir := filepath.Join(cache, "libchdb", "26.7.3-stable.1")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "libchdb.so")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, out, said, err := fetch(t, "exit 1", "USHER_CACHE="+cache); err != nil || out != file+"\n" {
		t.Errorf("cached: %q, %v, %s", out, err, said)
	}
}
