//go:build !unix

package main

import "os"

// flock does nothing: where it is missing there is no embedded engine either, and so no demo.
func flock(*os.File) error { return nil }
