// The program in containers under test: answers every connection with a line, or ends at once.
package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
)

func main() {
	if code := os.Getenv("CODE"); code != "" {
		number, _ := strconv.Atoi(code)
		fmt.Println("no such table: users")
		os.Exit(number)
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
		addresses, _ := net.LookupHost("db.internal")
		kept, _ := os.ReadFile("/data/kept")
		fmt.Fprintln(connection, os.Getenv("WORD"), addresses, string(kept))
		connection.Close()
	}
}
