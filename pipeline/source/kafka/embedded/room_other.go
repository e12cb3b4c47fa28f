//go:build !linux && !darwin

package broker

import "errors"

// freeBytes cannot be asked here.
func freeBytes(string) (uint64, error) { return 0, errors.ErrUnsupported }
