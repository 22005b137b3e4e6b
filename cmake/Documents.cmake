# SPDX-License-Identifier: Apache-2.0
# What is installed beside the program: man pages (made from man/ by scdoc), shell completions, and
# the documents, laid out as in the source so that their links work.
find_program(SCDOC scdoc)
if(SCDOC)
  file(GLOB man_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/man/*.scd)
  set(man_pages "")
  foreach(source ${man_sources})
    get_filename_component(page ${source} NAME_WLE) # thump-run.1.scd -> thump-run.1
    set(page ${PROJECT_BINARY_DIR}/man/${page})
    add_custom_command(OUTPUT ${page}
      COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/man
      COMMAND ${CMAKE_COMMAND} -E env SOURCE_DATE_EPOCH=0 ${SCDOC} < ${source} > ${page}
      DEPENDS ${source} VERBATIM)
    list(APPEND man_pages ${page})
  endforeach()
  add_custom_target(man ALL DEPENDS ${man_pages})
  # thump(1) says where the documents are, which only `cmake --install --prefix` knows.
  set(general_page ${PROJECT_BINARY_DIR}/man/thump.1)
  set(installed_page ${PROJECT_BINARY_DIR}/man/installed/thump.1)
  list(REMOVE_ITEM man_pages ${general_page})
  install(CODE "
    get_filename_component(DOCDIR \"${CMAKE_INSTALL_DOCDIR}\" ABSOLUTE
                           BASE_DIR \"\${CMAKE_INSTALL_PREFIX}\")
    if(EXISTS \"${general_page}\")
      configure_file(\"${general_page}\" \"${installed_page}\" @ONLY)
    endif()")
  # OPTIONAL: `cmake --install` of a build without this target still installs the program.
  foreach(section 1 3)
    set(pages ${man_pages} ${installed_page})
    list(FILTER pages INCLUDE REGEX "\\.${section}$")
    install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section} OPTIONAL)
  endforeach()
else()
  message(STATUS "scdoc was not found: no man pages")
  add_custom_target(man)
endif()

add_dependencies(parts man)

install(FILES completions/thump.bash RENAME thump
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES completions/_thump DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES completions/thump.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN *.md PATTERN *.svg
        PATTERN *.json)
