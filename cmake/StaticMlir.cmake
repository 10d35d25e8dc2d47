# Links the static archives of MLIR and of the few LLVM libraries below it. The imported targets of
# Debian's packages name libLLVM.so in their link interfaces, so the closure is walked here and the
# shared library left out.
find_package(MLIR 19.1 REQUIRED CONFIG HINTS /usr/lib/llvm-19/lib/cmake/mlir)

# The archives of `roots` and of all that they need.
function(lathe_mlir_archives result)
  set(pending ${ARGN})
  set(seen "")
  set(archives "")
  while(pending)
    list(POP_FRONT pending target)
    if(target IN_LIST seen OR NOT target MATCHES "^MLIR" OR NOT TARGET ${target})
      continue()
    endif()
    list(APPEND seen ${target})
    get_target_property(needs ${target} INTERFACE_LINK_LIBRARIES)
    if(needs)
      list(APPEND pending ${needs})
    endif()
    list(APPEND archives "${LLVM_LIBRARY_DIR}/lib${target}.a")
  endwhile()
  foreach(name Support Demangle TargetParser)
    list(APPEND archives "${LLVM_LIBRARY_DIR}/libLLVM${name}.a")
  endforeach()
  foreach(name z zstd tinfo)
    find_library(LATHE_LIB_${name} NAMES lib${name}.a ${name} REQUIRED)
    list(APPEND archives ${LATHE_LIB_${name}})
  endforeach()
  set(${result} ${archives} PARENT_SCOPE)
endfunction()

# Everything of MLIR that the compiler and its tools link; an archive costs nothing where none of
# its objects is needed.
add_library(lathe_mlir INTERFACE)
lathe_mlir_archives(archives MLIRIR MLIRArithDialect MLIRMathDialect MLIRPass MLIRTransforms
                    MLIROptLib)
list(JOIN archives "," archives)
target_link_libraries(lathe_mlir INTERFACE "$<LINK_GROUP:RESCAN,${archives}>" Threads::Threads
                                           ${CMAKE_DL_LIBS})
target_include_directories(lathe_mlir SYSTEM INTERFACE ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})

# mlir-tblgen over one .td file: lathe_tablegen(source.td [output generator]...)
function(lathe_tablegen source)
  cmake_path(GET source STEM stem)
  set(generated ${LATHE_GENERATED})
  set(arguments ${ARGN})
  while(arguments)
    list(POP_FRONT arguments output generator)
    string(REPLACE " " ";" generator "${generator}")
    add_custom_command(
      OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${output}
      COMMAND ${LATHE_MLIR_TBLGEN} ${generator} -I ${PROJECT_SOURCE_DIR} -I ${MLIR_INCLUDE_DIRS}
              ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${CMAKE_CURRENT_BINARY_DIR}/${output}
              --write-if-changed -d ${CMAKE_CURRENT_BINARY_DIR}/${output}.d
      DEPFILE ${CMAKE_CURRENT_BINARY_DIR}/${output}.d
      DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${source}
      VERBATIM)
    list(APPEND generated ${CMAKE_CURRENT_BINARY_DIR}/${output})
  endwhile()
  set(LATHE_GENERATED ${generated} PARENT_SCOPE)
endfunction()

find_program(LATHE_MLIR_TBLGEN NAMES mlir-tblgen-19 mlir-tblgen HINTS ${LLVM_TOOLS_BINARY_DIR}
             REQUIRED)
