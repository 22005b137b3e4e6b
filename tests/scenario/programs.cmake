# SPDX-License-Identifier: Apache-2.0
# scenario.program_NAME: apps/ledger.* in many languages and with many libraries, built here or run
# by the interpreters that are installed. What has no compiler or interpreter skips itself.
find_package(Threads REQUIRED)

# add_program(NAME [OPTIONS OPTION...] COMMAND WORD...)
function(add_program name)
  cmake_parse_arguments(arg "" "" "OPTIONS;COMMAND" ${ARGN})
  add_scenario(program_${name} programs.py ARGUMENTS ${arg_OPTIONS} --command ${arg_COMMAND})
endfunction()

# add_compiled(NAME SOURCE COMPILER FLAG...): the compiler takes -o.
function(add_compiled name source compiler)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/bin/ledger_${name})
  find_program(THUMP_${compiler} ${compiler})
  if(THUMP_${compiler})
    file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/bin)
    add_custom_command(OUTPUT ${output} DEPENDS apps/${source} VERBATIM
                       WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/apps
                       COMMAND ${CMAKE_COMMAND} -E env CGO_ENABLED=0 ${THUMP_${compiler}} ${ARGN}
                               -o ${output} ${source})
    add_custom_target(ledger_${name} ALL DEPENDS ${output})
  endif()
  add_program(${name} COMMAND ${output})
endfunction()

add_compiled(go ledger.go go build)
add_compiled(rust ledger.rs rustc -O)
add_compiled(musl ledger.c musl-gcc -O2 -pthread)
add_compiled(musl_static ledger.c musl-gcc -O2 -pthread -static)

foreach(name c asan)
  add_executable(ledger_${name} apps/ledger.c)
  target_link_libraries(ledger_${name} PRIVATE Threads::Threads)
endforeach()
target_compile_options(ledger_asan PRIVATE -fsanitize=address)
target_link_options(ledger_asan PRIVATE -fsanitize=address)
add_program(asan OPTIONS --overflow COMMAND $<TARGET_FILE:ledger_asan>)
foreach(library jemalloc.so.2 tcmalloc_minimal.so.4 mimalloc.so.2)
  string(REGEX MATCH "^[a-z]+" name ${library})
  add_program(${name} OPTIONS --preload lib${library} COMMAND $<TARGET_FILE:ledger_c>)
endforeach()

set(APPS ${CMAKE_CURRENT_SOURCE_DIR}/apps)
add_program(lua COMMAND lua5.4 ${APPS}/ledger.lua)
add_program(ruby COMMAND ruby ${APPS}/ledger.rb)
add_program(python_threads COMMAND /usr/bin/python3 ${APPS}/ledger.py)
add_program(node_workers COMMAND node ${APPS}/ledger.js)
add_program(sqlite OPTIONS --data COMMAND /usr/bin/python3 ${APPS}/ledger_sqlite.py)
