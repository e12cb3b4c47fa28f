package main

import (
	"context"
	"errors"
	"fmt"

	"usher/cmd/usher/internal/config"
)

// The exit codes of CONTRACT section 5.
const (
	exitDone     = 0
	exitFailed   = 1 // the work failed
	exitUsage    = 2 // wrong usage or configuration
	exitNotHeld  = 3 // a check did not hold
	exitCanceled = 130
)

// usageError is the caller's mistake: wrong flags, arguments or configuration.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usagef makes a usageError.
func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// notHeldError says that a check ran and did not hold; the findings are on standard output.
type notHeldError struct{ text string }

func (e *notHeldError) Error() string { return e.text }

// notHeldf makes a notHeldError.
func notHeldf(format string, args ...any) error { return &notHeldError{fmt.Sprintf(format, args...)} }

// exitCode maps what a command returned; begun tells whether it came so far as to work.
func exitCode(ctx context.Context, err error, begun bool) int {
	var usage *usageError
	var settings *config.Error
	var notHeld *notHeldError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage), errors.As(err, &settings), !begun:
		return exitUsage
	case errors.As(err, &notHeld):
		return exitNotHeld
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return exitCanceled
	default:
		return exitFailed
	}
}
