// The program in containers under test: answers every request with a line, or ends at once
// with a line of some LENGTH.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	if code := os.Getenv("CODE"); code != "" {
		number, _ := strconv.Atoi(code)
		length, _ := strconv.Atoi(os.Getenv("LENGTH"))
		fmt.Println(strings.Repeat("x", length) + "no such table: users")
		os.Exit(number)
	}
	if os.Getenv("STUBBORN") != "" {
		signal.Ignore(syscall.SIGTERM)
	}
	listener, err := net.Listen("tcp", ":8080")
	if err != nil {
		panic(err)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go answer(connection)
	}
}

// By hand: net/http would make the program, and so each load, four times as large.
func answer(connection net.Conn) {
	defer connection.Close()
	for request := bufio.NewScanner(connection); request.Scan() && request.Text() != ""; {
	}
	addresses, _ := net.LookupHost("db.internal")
	kept, _ := os.ReadFile("/data/kept")
	fmt.Fprint(connection, "HTTP/1.0 200 OK\r\n\r\n")
	fmt.Fprintln(connection, os.Getenv("WORD"), addresses, string(kept))
}
