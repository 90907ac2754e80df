package dev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// child is one role as a process, started again when it ends by itself.
type child struct {
	role       string
	bin        string
	args, env  []string
	files      []*os.File // handed over: listening sockets, so that a restart misses no connection
	management string     // its management URL
	log        *slog.Logger
	mu         sync.Mutex // guards the rest
	run        *childRun
	stopping   bool
}

// childRun is one life of a child.
type childRun struct {
	process *os.Process
	ended   chan struct{}
}

// start starts the process. If we die, however suddenly, the kernel ends it.
func (c *child) start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping {
		return errors.New("the platform is being stopped")
	}
	cmd := exec.Command(c.bin, c.args...)
	cmd.Env, cmd.ExtraFiles, cmd.Stderr = c.env, c.files, os.Stderr
	// A process group of its own: Ctrl-C in our terminal is for us, and the roles stop in their order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	run := &childRun{ended: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// Pdeathsig fires when the THREAD that forked ends: this one lives until the child is gone.
		runtime.LockOSThread()
		err := cmd.Start()
		run.process = cmd.Process
		started <- err
		if err == nil {
			_ = cmd.Wait() // that it ended is all that matters
			close(run.ended)
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start the %s process: %w", c.role, err)
	}
	c.run = run
	return nil
}

// pid is the process id of the present life.
func (c *child) pid() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.run == nil {
		return 0
	}
	return c.run.process.Pid
}

// watch starts the process again whenever it ends by itself. It returns when stop was called (nil), or when it gives up.
func (c *child) watch(ctx context.Context, again func()) error {
	var ends []time.Time
	for {
		c.mu.Lock()
		run := c.run
		c.mu.Unlock()
		<-run.ended
		c.mu.Lock()
		stopping := c.stopping
		c.mu.Unlock()
		if stopping {
			return nil
		}
		now := time.Now()
		for len(ends) > 0 && now.Sub(ends[0]) > time.Minute {
			ends = ends[1:]
		}
		if ends = append(ends, now); len(ends) > maxRestarts {
			return fmt.Errorf("the %s process ended %d times within a minute", c.role, len(ends))
		}
		c.log.ErrorContext(ctx, "a process ended; starting it again", slog.String("role", c.role), slog.Int("count", len(ends)))
		if err := c.start(); err != nil {
			c.mu.Lock()
			stopping := c.stopping
			c.mu.Unlock()
			if stopping {
				return nil
			}
			return err
		}
		again()
	}
}

// drainTimeout is how long a process may take to end in peace: a little more than platform gives its requests.
const drainTimeout = 20 * time.Second

// stop asks the process to end, and waits; one that does not end is killed.
func (c *child) stop() {
	c.mu.Lock()
	c.stopping = true
	run := c.run
	c.mu.Unlock()
	if run == nil {
		return
	}
	_ = run.process.Signal(syscall.SIGTERM)
	select {
	case <-run.ended:
	case <-time.After(drainTimeout):
		_ = run.process.Kill()
		<-run.ended
	}
}
